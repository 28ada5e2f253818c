"""The tables that are measured, as SQL: `mixed` with 20 columns of mixed types, `wide` with 50, `narrow` with 5.

Rows come in the order of their cursor, as in tables that grow. The least favourable part is on purpose: every type that the
encoders know is among the columns, and no value of a column is like the next.
"""

from __future__ import annotations

POSTGRES_MIXED = """
CREATE UNLOGGED TABLE {name} (
  id bigint PRIMARY KEY, a int NOT NULL, b int, c smallint, d bigint, e boolean NOT NULL, f real, g double precision,
  h numeric(18,4) NOT NULL, i numeric(12,2), j text NOT NULL, k varchar(40), l char(8), m date, n timestamp, o timestamptz,
  p uuid, q bytea, r jsonb, updated_at timestamptz NOT NULL);
INSERT INTO {name} SELECT i, i % 100000, CASE WHEN i % 10 = 0 THEN NULL ELSE i::bigint * 7 % 1000003 END, i % 30000,
  i * 1000003::bigint, i % 2 = 0, i / 7.0, i / 3.0, i * 1.2345, (i % 999983) / 100.0, 'customer number ' || i || ' of the table',
  md5(i::text), 'AB' || lpad((i % 1000000)::text, 6, '0'), date '2020-01-01' + i % 2000,
  timestamp '2024-01-01' + i * interval '1.000123 s', timestamptz '2024-01-01 00:00+00' + i * interval '1.5 s', md5(i::text)::uuid,
  decode(md5(i::text), 'hex'), jsonb_build_object('id', i, 'tags', jsonb_build_array('x', i % 10)),
  timestamptz '2024-01-01 00:00+00' + i * interval '10 ms'
FROM generate_series(1, {rows}) i;
CREATE INDEX ON {name} (updated_at, id);
VACUUM ANALYZE {name};
"""

MYSQL_MIXED = """
CREATE TABLE {name} (
  id bigint PRIMARY KEY, a int NOT NULL, b int, c smallint, d bigint, e tinyint(1) NOT NULL, f float, g double,
  h decimal(18,4) NOT NULL, i decimal(12,2), j text NOT NULL, k varchar(40), l char(8), m date, n datetime, o datetime(6),
  p char(36), q binary(16), r varchar(200), updated_at datetime(6) NOT NULL);
INSERT INTO {name} SELECT seq, seq % 100000, IF(seq % 10 = 0, NULL, seq * 7 % 1000003), seq % 30000, seq * 1000003, seq % 2,
  seq / 7, seq / 3, seq * 1.2345, (seq % 999983) / 100, concat('customer number ', seq, ' of the table'), md5(seq),
  concat('AB', lpad(seq % 1000000, 6, '0')), '2020-01-01' + INTERVAL seq % 2000 DAY, '2024-01-01' + INTERVAL seq SECOND,
  '2024-01-01' + INTERVAL seq * 1500 MICROSECOND, uuid(), unhex(md5(seq)), json_object('id', seq, 'tag', seq % 10),
  '2024-01-01' + INTERVAL seq * 10000 MICROSECOND FROM seq_1_to_{rows};
CREATE INDEX by_update ON {name} (updated_at, id);
ANALYZE TABLE {name};
"""

POSTGRES_NARROW = """
CREATE UNLOGGED TABLE {name} (
  id bigint PRIMARY KEY, account int NOT NULL, amount numeric(12,2) NOT NULL, kind text NOT NULL, updated_at timestamptz NOT NULL);
INSERT INTO {name} SELECT i, i * 7919::bigint % 1000003, (i % 999983) / 100.0, 'kind ' || i % 97,
  timestamptz '2024-01-01 00:00+00' + i * interval '2 ms' FROM generate_series(1, {rows}) i;
CREATE INDEX ON {name} (updated_at, id);
VACUUM ANALYZE {name};
"""

MIXED_COLUMNS = [*"id a b c d e f g h i j k l m n o p q r".split(), "updated_at"]
NARROW_COLUMNS = ["id", "account", "amount", "kind", "updated_at"]

# of the wide table: types in turn, each with an expression of the row's number `i` and the column's `{n}`
WIDE_TYPES = [
    ("int", "(i * {n} % 1000003)::int"), ("bigint", "i * 1000003::bigint + {n}"), ("double precision", "i / {n}.0"),
    ("numeric(14,3)", "(i % 999983) * {n} / 1000.0"), ("text", "'value ' || i % 10007 || ' of column {n}'"),
    ("varchar(32)", "md5((i + {n})::text)"), ("boolean", "(i + {n}) % 3 = 0"), ("date", "date '2015-01-01' + ((i + {n}) % 4000)::int"),
    ("timestamptz", "timestamptz '2024-01-01 00:00+00' + i * interval '{n}.25 s'"), ("smallint", "((i + {n}) % 30000)::smallint"),
]
WIDE_COLUMNS = ["id", *(f"c{n}" for n in range(1, 49)), "updated_at"]


def postgres_wide(name: str, rows: int) -> str:
    """50 columns: key, 48 of ten types in turn, cursor."""
    chosen = [(n, *WIDE_TYPES[n % len(WIDE_TYPES)]) for n in range(1, 49)]
    columns = ", ".join(f"c{n} {ty}" for n, ty, _ in chosen)
    values = ", ".join(expression.format(n=n) for n, _, expression in chosen)
    return f"""
CREATE UNLOGGED TABLE {name} (id bigint PRIMARY KEY, {columns}, updated_at timestamptz NOT NULL);
INSERT INTO {name} SELECT i, {values}, timestamptz '2024-01-01 00:00+00' + i * interval '10 ms' FROM generate_series(1, {rows}::bigint) i;
CREATE INDEX ON {name} (updated_at, id);
VACUUM ANALYZE {name};
"""
