from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.clustering import ContrastClusterer, EventClusterer, get_clusterer

ANGLES = {"north": 90.0, "north too": 91.0, "east": 0.0, "east too": 1.0, "west": 180.0, "south": 270.0}


def embed_angles(texts):
    """Unit vectors in the plane: the cosine distance of two is ``1 - cos`` of the angle between them."""
    angles = np.deg2rad([ANGLES[text] for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


NOTHING = np.zeros(2, np.float32)  # what all captions have in common: DBSCAN does not ask


def no_embedding(texts):
    raise AssertionError("nothing to embed")


def clusters(captions, eps=0.01, min_samples=2, embed=embed_angles):
    clusterer = EventClusterer(eps, min_samples)
    texts = [captions[i] for i in clusterer.compared(captions)]
    return clusterer.cluster(captions, embed(texts) if texts else np.zeros((0, 0), np.float32), NOTHING)


def test_like_captions_meet_and_noise_points_are_nodes_of_their_own():
    assert clusters(["west", "north", "east", "north too", "south", "east too"]) == [[0], [1, 3], [2, 5], [4]]


def test_all_noise_makes_every_event_a_node():
    assert clusters(["west", "north", "east", "south"]) == [[0], [1], [2], [3]]


def test_eps_is_a_cosine_distance():
    between_north_and_east = 1.0  # 1 - cos 90 degrees
    assert clusters(["north", "east"], eps=between_north_and_east - 0.01) == [[0], [1]]
    assert clusters(["north", "east"], eps=between_north_and_east + 0.01) == [[0, 1]]


def test_min_samples_counts_the_point_itself():
    assert clusters(["north", "north too"], min_samples=2) == [[0, 1]]
    assert clusters(["north", "north too"], min_samples=3) == [[0], [1]]


def test_identical_captions_are_one_node():
    assert clusters(["east"] * 4) == [[0, 1, 2, 3]]


def test_one_event_needs_no_embedding():
    assert clusters(["north"], embed=no_embedding) == [[0]]


def test_no_event_makes_no_cluster():
    assert clusters([], embed=no_embedding) == []


def test_empty_captions_never_meet():
    assert clusters(["", "north", " \n", "north too", ""]) == [[0], [1, 3], [2], [4]]
    assert clusters(["", "", "north"], embed=no_embedding) == [[0], [1], [2]]


def test_vectors_that_do_not_match_the_captions_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        clusters(["north", "east", "west"], embed=lambda texts: embed_angles(texts[:-1]))


def test_clustering_none_makes_every_event_a_node():
    clusterer = get_clusterer(MinerConfig(clustering="none"))
    assert clusterer.cluster(["east", "east"], no_embedding, NOTHING) == [[0], [1]]


def test_the_settings_reach_dbscan():
    clusterer = get_clusterer(MinerConfig(clustering="event", cluster_eps=1.5, cluster_min_samples=3))
    assert clusterer == EventClusterer(eps=1.5, min_samples=3)


def test_frames_are_clustered_as_events_are():
    clusterer = get_clusterer(MinerConfig(clustering="frame", cluster_eps=0.01))
    assert clusterer.name == "frame"
    captions = ["west", "north", "north too"]
    assert clusterer.cluster(captions, embed_angles(captions), NOTHING) == [[0], [1, 2]]


def test_an_unknown_clustering_names_the_valid_ones():
    with pytest.raises(ConfigError, match=r"unknown clustering 'frames'; did you mean 'frame'.*event, frame, none"):
        get_clusterer(MinerConfig(clustering="frames"))


vectors = st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any), max_size=12)


@settings(deadline=None)
@given(vectors, st.sampled_from([0.05, 0.3, 1.0]), st.integers(1, 4))
def test_clusters_partition_the_events_in_order_and_equal_sklearns(vectors, eps, min_samples):
    captions = [str(i) for i in range(len(vectors))]
    found = clusters(captions, eps, min_samples, lambda texts: np.array([vectors[int(t)] for t in texts], np.float32))
    assert sorted(i for cluster in found for i in cluster) == list(range(len(vectors)))
    assert all(cluster == sorted(cluster) for cluster in found)
    assert [cluster[0] for cluster in found] == sorted(cluster[0] for cluster in found)
    if len(vectors) > 1:
        labels = DBSCAN(eps=eps, min_samples=min_samples, metric="cosine").fit_predict(np.array(vectors, np.float32))
        for cluster in found:
            assert len({labels[i] for i in cluster}) == 1
            assert labels[cluster[0]] != -1 or len(cluster) == 1
        assert len(found) == len(set(labels) - {-1}) + (labels == -1).sum()


def contrasted(vectors, common=None):
    vectors = np.array(vectors, np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    common = vectors.mean(axis=0) if common is None else common
    return ContrastClusterer().cluster([str(i) for i in range(len(vectors))], vectors, common)


def test_what_all_captions_share_does_not_bring_them_together():
    """Four captions of two scenes that repeat the question: nearer to each other than any usual eps."""
    shared, first, second = np.array([9.0, 0, 0, 0]), np.array([0, 1.0, 0, 0.3]), np.array([0, 0, 1.0, 0.3])
    vectors = [shared + first, shared + second, shared + 1.1 * first, shared + 0.9 * second]
    assert clusters(list("0123"), 0.1, 2, lambda texts: np.array(vectors)) == [[0, 1, 2, 3]]
    assert contrasted(vectors) == [[0, 2], [1, 3]]


def test_parts_of_one_scene_meet_where_the_rest_of_the_film_differs():
    parts = [[1.0, 0.2, 0.0], [1.0, 0.0, 0.2], [1.0, 0.1, 0.1]]
    elsewhere = np.array([0.0, 0.7, 0.7], np.float32)
    assert contrasted(parts, common=elsewhere) == [[0, 1, 2]]
    assert len(contrasted(parts)) > 1  # by themselves they differ


def test_equal_captions_are_one_node_even_if_there_are_no_others():
    assert contrasted([[0.6, 0.8]] * 4) == [[0, 1, 2, 3]]
    assert contrasted([[0.6, 0.8], [1, 0], [0.6, 0.8], [0.6, 0.8]]) == [[0, 2, 3], [1]]


@settings(deadline=None)
@given(vectors.filter(lambda rows: len(rows) > 1), st.floats(-1, 1))
def test_contrast_partitions_the_events_in_order(vectors, shift):
    found = contrasted(vectors, np.full(3, shift, np.float32))
    assert sorted(i for cluster in found for i in cluster) == list(range(len(vectors)))
    assert all(cluster == sorted(cluster) for cluster in found)
    assert [cluster[0] for cluster in found] == sorted(cluster[0] for cluster in found)


def test_an_eps_that_is_given_is_used_as_given_and_none_is_the_embedders():
    assert get_clusterer(MinerConfig(cluster_eps=0.3), 0.1) == EventClusterer(0.3, 2)
    assert get_clusterer(MinerConfig(), 0.1) == EventClusterer(0.1, 2)
    assert get_clusterer(MinerConfig(clustering="frame")) == ContrastClusterer(name="frame")


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("A cup is washed. It is not clear what the woman puts into the dishwasher.", "A cup is washed."),
        ("What does the woman put into the dishwasher? A plate.", "A plate."),
        ("No dishwasher: the woman sits.", "No dishwasher: the woman sits."),
        ("the woman, dishwasher", "the woman, dishwasher"),
        ("A woman opens the dishwasher and takes out a plate.", "A woman opens the dishwasher and takes out a plate."),
    ],
)
def test_sentences_that_repeat_the_question_are_not_compared(caption, told):
    question = "What does the woman put into the dishwasher: is it clear?"
    assert ContrastClusterer().compared_text(caption, question) == told
    assert EventClusterer(0.1, 2).compared_text(caption, question) == caption
