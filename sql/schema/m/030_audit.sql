/*
 * Room: audit (tables)
 *
 * The log of every change, and the Merkle tree over it.  Rows are written by C
 * straight into the heap, sealed in blocks by labos.audit_seal(), checked by
 * labos.audit_verify().  Nobody is granted anything here: clients read through
 * lab.audit_log and lab.audit_history().
 *
 * Holds    audit_gen, audit_table, audit_ctx, audit_log, audit_block, audit_tile, audit_checkpoint
 * Needs    code/audit
 * Used by  every audited table
 *
 * The column order of audit_log is known to src/audit/buffer.c.
 */

-- audit_gen -----------------------------------------------------------------

create table lab_private.audit_gen (
  gen       smallint    not null,
  sysid     text        not null,
  dboid     bigint      not null,
  from_no   bigint      not null,
  prev_hash bytea       not null,
  reason    text        not null,
  log_gen   smallint,
  log_xid   bigint,
  log_n     integer,
  constraint audit_gen_pkey primary key (gen),
  constraint audit_gen_gen_check check (gen > 0),
  constraint audit_gen_prev_hash_check check (octet_length(prev_hash) = 32)
);
comment on table lab_private.audit_gen is
$$Generations of the audit log

A generation is one life of this database: a restore, a copy or a major upgrade opens the next one, linked to the last block of the one before. log_*: the event that sealed this row.$$;
comment on column lab_private.audit_gen.sysid is 'System identifier of the cluster.';
comment on column lab_private.audit_gen.dboid is 'Oid of the database in that cluster.';
comment on column lab_private.audit_gen.from_no is 'First block of the generation.';
comment on column lab_private.audit_gen.prev_hash is 'Hash of the block before it; zeros for the first generation.';

-- audit_table ---------------------------------------------------------------

create table lab_private.audit_table (
  id         integer  not null,
  kind       text     not null,
  relname    text     not null,
  columns    jsonb    not null,
  policy     jsonb    not null,
  valid_from bigint   not null,
  valid_to   bigint,
  log_gen    smallint,
  log_xid    bigint,
  log_n      integer,
  constraint audit_table_pkey primary key (id),
  constraint audit_table_id_check check (id > 0)
);
-- One definition of a kind is in force at a time.
create unique index audit_table_kind_idx on lab_private.audit_table (kind) where valid_to is null;
comment on table lab_private.audit_table is
$$Audited tables

One row for each definition a table had while it was audited: small stable ids for the log, since oids change on restore. log_*: the event that sealed this row.$$;
comment on column lab_private.audit_table.kind is 'The name clients use in audit_history(); the table name unless another was given.';
comment on column lab_private.audit_table.columns is 'Names and types of the columns, in order.';
comment on column lab_private.audit_table.policy is 'See labos.audit_enable().';
comment on column lab_private.audit_table.valid_from is 'Size of the tree when the definition came into force.';
comment on column lab_private.audit_table.valid_to is 'Size of the tree when it was replaced; null: in force.';

-- audit_ctx -----------------------------------------------------------------

create sequence lab_private.audit_ctx_id_seq as bigint cache 8;
create table lab_private.audit_ctx (
  id           bigint   not null default nextval('lab_private.audit_ctx_id_seq'),
  session_id   uuid,
  request_id   text,
  ip           text,
  user_agent   text,
  app          text,
  db_role      text     not null,
  db_session   text     not null,
  device_id    uuid,
  log_gen      smallint not null,
  log_xid      bigint   not null,
  log_n        integer  not null,
  constraint audit_ctx_pkey primary key (id)
);
alter sequence lab_private.audit_ctx_id_seq owned by lab_private.audit_ctx.id;
comment on table lab_private.audit_ctx is
$$Circumstances of changes

One row for each request or session that wrote: where the change came from. log_*: the event that sealed this row.$$;
comment on column lab_private.audit_ctx.ip is 'Address of the client: of the connection, or what the gateway reported.';
comment on column lab_private.audit_ctx.app is 'application_name.';
comment on column lab_private.audit_ctx.db_role is 'Database role in force, outside of definer functions.';
comment on column lab_private.audit_ctx.db_session is 'Database role that logged in.';
comment on column lab_private.audit_ctx.device_id is 'The registered instrument or workstation, when the identity names one.';

-- audit_log -----------------------------------------------------------------

create table lab_private.audit_log (
  xid     bigint      not null,
  ts      timestamptz not null,
  ctx     bigint      not null,
  n       integer     not null,
  tab     integer     not null,
  gen     smallint    not null,
  op      "char"      not null,
  rec     uuid,
  org_id  uuid,
  actor   uuid,
  reason  text,
  payload json,
  constraint audit_log_pkey primary key (gen, xid, n),
  constraint audit_log_op_check check (op in ('I', 'U', 'D', 'T', 'S', 'X', 'E'))
) partition by range (gen, xid);
-- The history of one record.
create index audit_log_rec_idx on lab_private.audit_log (rec) where rec is not null;
-- Takes everything until maintenance cuts partitions at block boundaries.
create table lab_private.audit_log_default partition of lab_private.audit_log default;

comment on table lab_private.audit_log is
$$The audit log

One row for each change of an audited row, and for each event. Append-only; written by C, sealed by labos.audit_seal(): any later change of any byte is found by labos.audit_verify().$$;
comment on table lab_private.audit_log_default is 'Rows of the audit log that no other partition holds.';
comment on column lab_private.audit_log.gen is 'Generation, see audit_gen.';
comment on column lab_private.audit_log.xid is 'Top-level transaction, 64 bit.';
comment on column lab_private.audit_log.n is 'Place in the transaction, dense from 1.';
comment on column lab_private.audit_log.ts is 'Time of the change by the server''s clock, while the row was locked.';
comment on column lab_private.audit_log.tab is 'audit_table.id; 0 for events.';
comment on column lab_private.audit_log.op is 'Insert, Update, Delete, Truncated row, Snapshot (baseline), X redaction, Event.';
comment on column lab_private.audit_log.rec is 'The record: its uuid id, or a uuid made of the SHA-256 of its key.';
comment on column lab_private.audit_log.org_id is 'Organisation of the row; the actor''s for tables without one.';
comment on column lab_private.audit_log.actor is 'The verified user; null: none was signed in.';
comment on column lab_private.audit_log.ctx is 'audit_ctx.id.';
comment on column lab_private.audit_log.payload is 'I, S, D, T: {"column": value}; U: {"column": [old, new]}; E: {"event": name, "data": …}. The text is what is hashed.';

-- audit_block, audit_tile, audit_checkpoint -----------------------------------

create table lab_private.audit_block (
  no               bigint      not null,
  gen              smallint    not null,
  sxmin            bigint      not null,
  sxmax            bigint      not null,
  xip              bigint[]    not null,
  first            bigint      not null,
  cnt              bigint      not null,
  size             bigint      not null,
  frontier         bytea       not null,
  root             bytea       not null,
  prev             bytea       not null,
  hash             bytea       not null,
  sealed_at        timestamptz not null,
  leafdata_missing boolean     not null default false,
  constraint audit_block_pkey primary key (no),
  constraint audit_block_no_check check (no > 0),
  constraint audit_block_cnt_check check (cnt > 0 and size = first + cnt),
  constraint audit_block_root_check check (octet_length(root) = 32 and octet_length(prev) = 32 and octet_length(hash) = 32)
);
comment on table lab_private.audit_block is
$$Blocks of the audit log

The rows that became visible between two snapshots, as leaves first .. size - 1 of an RFC 6962 Merkle tree. Each block holds the hash of the one before.$$;
comment on column lab_private.audit_block.sxmax is 'First transaction the snapshot did not see; 2^63 - 1 closes a generation.';
comment on column lab_private.audit_block.xip is 'Transactions in progress in the snapshot.';
comment on column lab_private.audit_block.frontier is 'Roots of the perfect subtrees at this size, largest first, 32 bytes each.';
comment on column lab_private.audit_block.root is 'Root of the tree at this size.';
comment on column lab_private.audit_block.prev is 'Hash of the block before; zeros for the first.';
comment on column lab_private.audit_block.hash is 'SHA-256 of this block.';
comment on column lab_private.audit_block.leafdata_missing is 'Rows were purged after retention; their leaf hashes remain.';

create table lab_private.audit_tile (
  level smallint not null,
  idx   bigint   not null,
  w     smallint not null,
  h     bytea    not null,
  constraint audit_tile_pkey primary key (level, idx),
  constraint audit_tile_w_check check (w between 1 and 256 and octet_length(h) = 32 * w)
);
-- Hashes do not compress.
alter table lab_private.audit_tile alter column h set storage external;
comment on table lab_private.audit_tile is
$$Hashes of the tree

Tiles of up to 256 hashes after C2SP tlog-tiles: level 0 are the leaves, level n + 1 the roots of full tiles of level n.$$;
comment on column lab_private.audit_tile.w is 'Hashes in the tile.';

create table lab_private.audit_checkpoint (
  size    bigint      not null,
  note    text        not null,
  sent_at timestamptz,
  witness text[]      not null default '{}',
  constraint audit_checkpoint_pkey primary key (size)
);
comment on table lab_private.audit_checkpoint is
$$Checkpoints

Signed notes over the tree at a size (C2SP tlog-checkpoint), to be kept outside of the database too.$$;
comment on column lab_private.audit_checkpoint.witness is 'Cosignatures.';
