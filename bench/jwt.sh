#!/usr/bin/env bash
# Signing and verifying HS256 tokens: labos.sign and labos.verify (C over OpenSSL) beside the same done in SQL with
# pgcrypto's hmac(), which is how pgjwt does it. pgjwt itself is in no Debian, npm or PyPI package: LABOS_PGJWT names a
# copy of its pgjwt--0.2.0.sql; without it the peer is a stand-in of the same build, function by function. Either checks
# the signature, nbf and exp and nothing else. Median of 5 rounds of processor time.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one).
set -euo pipefail
peer="pgcrypto hmac() in SQL (stand-in for pgjwt)" real=$(mktemp)
trap 'rm -f "$real"' EXIT
if [ -n "${LABOS_PGJWT:-}" ]; then
  peer="pgjwt 0.2.0"
  { echo 'set search_path to bench, public;'; sed -e '/^\\/d' -e 's/@extschema@/bench/g' "$LABOS_PGJWT"; echo 'reset search_path;'; } >"$real"
fi
here=$(cd "$(dirname "$0")" && pwd)
psql -X -q -v ON_ERROR_STOP=1 -v here="$here" -v real="$real" -v peer="$peer" -A -t <<'SQL'
\i :here/cpu.sql
set client_min_messages to warning;
create extension if not exists pgcrypto schema bench;
-- Built as pgjwt is: one SQL function a step, the algorithm chosen by name in each call, dates cast by a function
-- that catches what is no number.
create function bench.b64(data bytea) returns text language sql immutable as
$$ select translate(encode(data, 'base64'), E'+/=\n', '-_') $$;
create function bench.unb64(data text) returns bytea language sql immutable as
$$ with t as (select translate(data, '-_', '+/') as s)
   select decode(t.s || repeat('=', (4 - length(t.s) % 4) % 4), 'base64') from t $$;
create function bench.mac(signed text, secret text, algorithm text) returns text language sql immutable as
$$ with a as (select case algorithm when 'HS256' then 'sha256' when 'HS384' then 'sha384' when 'HS512' then 'sha512' else '' end as name)
   select bench.b64(bench.hmac(signed, secret, a.name)) from a $$;
create function bench.sign(payload json, secret text, algorithm text default 'HS256') returns text language sql immutable as
$$ with h as (select bench.b64(convert_to('{"alg":"' || algorithm || '","typ":"JWT"}', 'utf8')) as s),
        p as (select bench.b64(convert_to(payload::text, 'utf8')) as s),
        b as (select h.s || '.' || p.s as s from h, p)
   select b.s || '.' || bench.mac(b.s, secret, algorithm) from b $$;
create function bench.number(value text) returns float8 language plpgsql immutable as
$$ begin return value::float8; exception when others then return null; end $$;
create function bench.verify(token text, secret text, algorithm text default 'HS256')
  returns table (header json, payload json, valid boolean) language sql immutable as
$$ select j.header, j.payload,
     j.signed and tstzrange(to_timestamp(bench.number(j.payload ->> 'nbf')), to_timestamp(bench.number(j.payload ->> 'exp'))) @> current_timestamp
   from (select convert_from(bench.unb64(p[1]), 'utf8')::json as header, convert_from(bench.unb64(p[2]), 'utf8')::json as payload,
           p[3] = bench.mac(p[1] || '.' || p[2], secret, algorithm) as signed
         from regexp_split_to_array(token, '\.') p) j $$;

-- The real one stands in for the stand-in.
select :'peer' like 'pgjwt%' as has_real \gset
\if :has_real
drop function bench.sign, bench.verify;
\i :real
\endif

-- Microseconds a call, over rows that differ, less the same query without the call.
create table bench.tokens as
  select n, json_build_object('sub', labos.uuid_v7(), 'role', 'lab_user', 'iss', 'labos', 'aud', 'labos', 'iat', 1700000000, 'exp', 4102444800,
           'email', 'ann@lab.example', 'org_id', labos.uuid_v7()) as payload, 'a secret of at least thirty-two bytes.' as secret, null::text as token
  from generate_series(1, 2000) n;
update bench.tokens set token = labos.sign(payload, secret);
vacuum analyze bench.tokens;
create function bench.run(kind text, ours boolean) returns float8 language plpgsql as $$
declare
  v_schema text := case when ours then 'labos' else 'bench' end;
  v_call   text := case kind when 'sign' then format('octet_length(%I.sign(t.payload, t.secret))', v_schema)
                             else format('(select v.valid::int from %I.verify(t.token, t.secret) v)', v_schema) end;
  v_start  float8;
  v_base   float8;
  v_sum    bigint;
begin
  v_start := bench.cpu();
  execute 'select sum(octet_length(t.secret)) from bench.tokens t, generate_series(1, 20)' into v_sum;
  v_base := (bench.cpu() - v_start) / 1e9;
  v_start := bench.cpu();
  execute format('select sum(%s) from bench.tokens t, generate_series(1, 20)', v_call) into v_sum;
  if kind = 'verify' and v_sum <> 40000 then raise exception 'a token did not verify'; end if;
  return ((bench.cpu() - v_start) / 1e9 - v_base) * 1e6 / 40000;
end $$;
create temporary table measured (kind text, ours boolean, us float8);
select format('insert into measured values (%L, %L, bench.run(%L, %L))', k.kind, o.ours, k.kind, o.ours)
from (values ('sign'), ('verify')) k(kind), (values (true), (false)) o(ours), generate_series(1, 5) r
order by r, k.kind, o.ours
\gexec
-- A speed-up: ratio is peer time by ours.
select json_build_object('name', 'jwt_hs256_' || kind, 'unit', 'us', 'ours', round(ours::numeric, 3), 'peer', round(peer::numeric, 3),
         'peer_name', :'peer', 'ratio', round((peer / ours)::numeric, 2), 'goal', goal, 'met', peer / ours >= goal)
from (select m.kind, percentile_cont(0.5) within group (order by us) filter (where ours) as ours,
             percentile_cont(0.5) within group (order by us) filter (where not ours) as peer
      from measured m group by m.kind) x
join (values ('sign', 60.0), ('verify', 10.0)) g(kind, goal) using (kind) order by kind;
drop schema bench cascade;
SQL
