import pytest

from taproom.errors import CollectionError
from tests.taproom.warehouse.tables import MAIL, mail


def test_a_single_value_cannot_change_in_a_later_version(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    for since, partition in ((0, "c"), (1, "a")):
        with pytest.raises(CollectionError, match=r"holds the collection 'pub', and 'brewery' .* TAPROOM_WAREHOUSE"):
            warehouse.publish(MAIL, mail(partition, 3, collection="brewery"), since=since, partition=partition)
    assert warehouse.head("mail") == 1
