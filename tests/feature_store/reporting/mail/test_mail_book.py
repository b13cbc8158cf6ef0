"""What is known of a mail is kept, if not in the record, then in Airflow."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest

from feature_store.reporting.mail.channels import Channel
from feature_store.reporting.mail.delivery import Delivery, DeliveryState, deliver
from feature_store.reporting.mail.mail_book import About, Book
from feature_store.reporting.mail.mail_record import Mailed

MAIL = Channel("mail", "ann@example.org", deliver)


@pytest.mark.parametrize(
    ("state", "noted"), [(DeliveryState.SENT, {"mailed": "sent"}), (DeliveryState.UNKNOWN, {})]
)
def test_that_a_mail_was_sent_is_noted_in_airflow_if_the_database_goes_meanwhile(
    empty_database, state, noted
):
    left: dict[str, str] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: left.update({key: value}))
    with psycopg.connect(empty_database, autocommit=True) as session:
        book = Book(session, MAIL, About("failure", 1), Mailed(), ti)
        book._event = 1  # the record has its beginning
    book.end(Delivery(state, "", "a server"))
    assert left == noted
