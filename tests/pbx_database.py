"""Hold the PBX's database as far as it is known, with a few rows.

And the role that callmon is to have there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from monitor.pbx.database.client import Database, DatabaseSettings
from tests.postgres import Postgres

NAME = "database_single"
READER = "callmon"
PASSWORD = "of-the-reader"

_TABLES = """
CREATE TABLE cl_calls (
    id serial PRIMARY KEY, start_time timestamptz NOT NULL, end_time timestamptz NOT NULL,
    is_answered boolean NOT NULL, ringing_dur interval, talking_dur interval, q_wait_dur interval,
    call_history_id varchar(255), duplicated boolean DEFAULT false, migrated boolean DEFAULT false
);
CREATE TABLE cl_party_info (
    id serial PRIMARY KEY, dn_type int, dn varchar(255), caller_number varchar(255),
    display_name varchar(255), dn_class int DEFAULT 0, firstlastname varchar(255),
    did_number varchar(255), crm_contact varchar(255)
);
CREATE TABLE cl_participants (
    id serial PRIMARY KEY, call_id int NOT NULL, info_id int NOT NULL, role int DEFAULT 1,
    is_inbound boolean DEFAULT false, end_status int DEFAULT 0, forward_reason int,
    failure_reason int, start_time timestamptz, answer_time timestamptz, end_time timestamptz,
    billing_code varchar(20), billing_ratename varchar(255), billing_rate numeric,
    billing_cost numeric, billing_duration interval, recording_url varchar(511),
    billing_group varchar(255)
);
CREATE TABLE recordings (
    id_recording serial PRIMARY KEY, cl_participants_id int, recording_url varchar(511),
    start_time timestamptz, end_time timestamptz, transcription text,
    archived boolean DEFAULT false, archived_url varchar DEFAULT '', call_type int,
    sentiment_score int, summary text, result int DEFAULT 0, cdr_id uuid,
    transcribed boolean DEFAULT false, emailed boolean DEFAULT false, queue_dn varchar,
    transcription_started_at timestamptz, offload_id varchar, forced boolean DEFAULT false
);
CREATE TABLE cdroutput (
    cdr_id uuid PRIMARY KEY, call_history_id uuid, source_participant_id uuid,
    source_entity_type varchar, source_dn_number varchar, source_dn_type varchar,
    source_dn_name varchar, source_participant_name varchar,
    source_participant_phone_number varchar, source_participant_trunk_did varchar,
    source_participant_is_incoming boolean, destination_participant_id uuid,
    destination_entity_type varchar, destination_dn_number varchar, destination_dn_type varchar,
    destination_dn_name varchar, base_cdr_id uuid, originating_cdr_id uuid, creation_method varchar,
    creation_forward_reason varchar, termination_reason varchar, continued_in_cdr_id uuid,
    cdr_started_at timestamptz, cdr_ended_at timestamptz, cdr_answered_at timestamptz,
    termination_reason_details varchar, processed boolean, migrated boolean,
    main_call_history_id uuid
);
CREATE TABLE callcent_queuecalls (
    idcallcent_queuecalls serial PRIMARY KEY, q_num varchar(255), time_start timestamp NOT NULL,
    time_end timestamp NOT NULL, ts_waiting interval DEFAULT '00:00:00',
    ts_polling interval DEFAULT '00:00:00', ts_servicing interval DEFAULT '00:00:00',
    count_polls int NOT NULL, count_dialed int NOT NULL, reason_noanswercode int NOT NULL,
    reason_noanswerdesc varchar(255) DEFAULT '', call_history_id varchar(255),
    from_userpart varchar(255) DEFAULT '', from_displayname varchar(255) DEFAULT '',
    to_dn varchar(255) DEFAULT '', to_dntype int NOT NULL, call_result text DEFAULT '',
    is_visible boolean DEFAULT true
);
"""

_ROWS = """
INSERT INTO recordings
    (id_recording, cl_participants_id, recording_url, start_time, end_time, cdr_id, queue_dn) VALUES
    (1, 11, '101/[Smith, John]_101-7196403939_20260224201047(789).wav',
     '2026-02-24 20:10:47.817332+00', '2026-02-24 20:11:29.531003+00', NULL, '800'),
    (2, NULL, '101/[Smith, John]_101-7196400001_20260301090000(790).wav',
     '2026-03-01 10:00:00+01', '2026-03-01 09:04:00+00',
     '00000000-01dc-688a-2607-57e500000c10', NULL),
    (3, 12, '116/[Иванова, Анна]_116-100_20260224201047(791).wav',
     '2026-02-24 20:10:47+00', '2026-02-24 20:11:29+00', NULL, NULL);
INSERT INTO callcent_queuecalls (q_num, time_start, time_end, ts_waiting, count_polls, count_dialed,
    reason_noanswercode, reason_noanswerdesc, from_userpart, from_displayname, to_dntype,
    call_result) VALUES
    ('807', '2026-02-24 20:10:00', '2026-02-24 20:10:01', '00:00:00.543344', 1, 1, 3,
     'Caller dropped the call', '116', 'Desk 2, Front', 0, 'WP');
INSERT INTO cl_participants (call_id, info_id, billing_rate, billing_cost, billing_duration)
    SELECT n, n, 0.35, n * 0.35, make_interval(secs => n) FROM generate_series(1, 500) n;
"""


class ReadDatabase:
    """A database whose answers are read, as a client reads them."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._database = Database(settings)
        self.check = self._database.check

    async def answer(self, sql: str, count: int) -> Mapping[str, Any]:
        answer: dict[str, Any] = msgspec.json.decode(await self._database.answer(sql, count))
        return answer


async def make(server: Postgres) -> None:
    """The database with its tables and rows, and the role, made in the way of deploy/sql.md."""
    await server.run(
        f"CREATE DATABASE {NAME}",
        f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 8",
    )
    await server.run(
        _TABLES,
        _ROWS,
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}",
        database=NAME,
    )
