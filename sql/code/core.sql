/*
 * Room: core
 *
 * Identifiers and versions. Everything here is a member of the extension.
 */

create schema labos_ops;
comment on schema labos_ops is 'labos: leakproof operator wrappers, so that searches under row security can use an index';
comment on schema labos is 'labos: types, functions and trigger functions of the extension';
revoke all on schema labos, labos_ops from public;

create function labos.uuid_v7() returns uuid
  language c volatile parallel safe as 'MODULE_PATHNAME', 'labos_uuid_v7';
comment on function labos.uuid_v7() is 'A new time-ordered UUID (version 7, RFC 9562).';

create function labos.uuid_v7_time(id uuid) returns timestamptz
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_uuid_v7_time';
comment on function labos.uuid_v7_time(uuid) is 'The millisecond at which a version 7 UUID was made; null for another version.';

create function labos.library_version() returns text
  language c immutable parallel safe as 'MODULE_PATHNAME', 'labos_library_version';
comment on function labos.library_version() is 'The version of the loaded shared library.';
