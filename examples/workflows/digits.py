"""Digits: train three classifiers of handwritten digits side by side, and choose the one that judges best.

The data set (1,797 images of 8 × 8 pixels) is bundled with scikit-learn. A fitted model is no JSON value, hence
`result_serializer="pickle"` on the task that makes it; above 256 KiB a result goes to the object store by itself.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from perfect_sdk import flow, get_run_logger, task

MODELS = ("logistic regression", "nearest neighbours", "random forest")


@dataclass
class Score:
    """accuracy and macro-averaged F1 on images that the model has not seen; the pair it confuses most often."""

    model: str
    accuracy: float
    f1: float
    confused: str


@dataclass
class Report:
    best: Score
    scores: list[Score]
    training_images: int
    test_images: int


def split(seed: int, test_share: float) -> list[np.ndarray]:
    """Training images, test images, training labels, test labels: the same for the same arguments."""
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images, labels, test_size=test_share, random_state=seed, stratify=labels)


def untrained(model: str, seed: int) -> ClassifierMixin:
    match model:
        case "logistic regression":
            return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        case "nearest neighbours":
            return KNeighborsClassifier(n_neighbors=3)
        case "random forest":
            return RandomForestClassifier(n_estimators=40, random_state=seed)
    raise ValueError(f"there is no model {model!r}; choose among {', '.join(MODELS)}")


@task(weight=1)
def sizes(seed: int, test_share: float) -> tuple[int, int]:
    training, test, _, _ = split(seed, test_share)
    return len(training), len(test)


@task(weight=8, estimated_time=800, result_serializer="pickle")
def train(model: str, seed: int, test_share: float) -> ClassifierMixin:
    images, _, labels, _ = split(seed, test_share)
    fitted = untrained(model, seed).fit(images, labels)
    get_run_logger().info("trained the %s on %d images", model, len(images))
    return fitted


@task(weight=2, estimated_time=100)
def evaluate(model: str, fitted: ClassifierMixin, seed: int, test_share: float) -> Score:
    _, images, _, labels = split(seed, test_share)
    judged = fitted.predict(images)
    confusion = confusion_matrix(labels, judged)
    np.fill_diagonal(confusion, 0)
    true, seen = np.unravel_index(confusion.argmax(), confusion.shape)
    return Score(
        model=model,
        accuracy=round(float(accuracy_score(labels, judged)), 4),
        f1=round(float(f1_score(labels, judged, average="macro")), 4),
        confused=f"{true} taken for {seen}, {confusion.max()} times" if confusion.max() else "none",
    )


@task(weight=1)
def choose(scores: list[Score], least: float) -> Score:
    """The best one. Raises when even that is below `least`: a bad model must not go on unseen."""
    best = max(scores, key=lambda score: score.f1)
    if best.accuracy < least:
        raise ValueError(
            f"the best model, {best.model}, is right in {best.accuracy:.1%} only, below {least:.1%}"
        )
    return best


@flow(name="Digits", tags=["ml", "example"])
def digits(seed: int = 7, test_share: float = 0.25, least_accuracy: float = 0.9) -> Report:
    """Trains three classifiers of handwritten digits side by side and chooses the best."""
    training, test = sizes(seed, test_share)
    fitted = [train.submit(model, seed, test_share) for model in MODELS]
    judged = [
        evaluate.submit(model, one, seed, test_share) for model, one in zip(MODELS, fitted, strict=True)
    ]
    scores = [score.result() for score in judged]
    best = choose(scores, least_accuracy)
    get_run_logger().info("the %s is right in %.1f %%", best.model, best.accuracy * 100)
    return Report(best, scores, training, test)


if __name__ == "__main__":
    print(digits())
