#!/usr/bin/env bash
# Signing and verifying HS256 tokens: labos.sign and labos.verify (C over OpenSSL) beside the same done in SQL with
# pgcrypto's hmac(), which is how pgjwt does it. pgjwt itself is in no Debian, npm or PyPI package, so the peer is a
# stand-in written here from RFC 7515; it checks the signature and exp and nothing else. Median of 9 rounds.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one).
set -euo pipefail
psql -X -q -v ON_ERROR_STOP=1 -A -t <<'SQL'
set client_min_messages to warning;
create schema bench;
create extension if not exists pgcrypto schema bench;
create function bench.b64(data bytea) returns text language sql immutable as
$$ select translate(encode(data, 'base64'), E'+/=\n', '-_') $$;
create function bench.unb64(data text) returns bytea language sql immutable as
$$ select decode(rpad(translate(data, '-_', '+/'), ((length(data) + 3) / 4) * 4, '='), 'base64') $$;
create function bench.sign(payload json, secret text) returns text language sql immutable as $$
  with h as (select bench.b64(convert_to('{"alg":"HS256","typ":"JWT"}', 'utf8')) || '.' || bench.b64(convert_to(payload::text, 'utf8')) as s)
  select s || '.' || bench.b64(bench.hmac(s, secret, 'sha256')) from h $$;
create function bench.verify(token text, secret text) returns table (header json, payload json, valid boolean) language sql immutable as $$
  select convert_from(bench.unb64(p[1]), 'utf8')::json, convert_from(bench.unb64(p[2]), 'utf8')::json,
         p[3] = bench.b64(bench.hmac(p[1] || '.' || p[2], secret, 'sha256'))
         and tstzrange(to_timestamp(coalesce((convert_from(bench.unb64(p[2]), 'utf8')::json ->> 'nbf')::float8, 0)),
                       to_timestamp(coalesce((convert_from(bench.unb64(p[2]), 'utf8')::json ->> 'exp')::float8, 9999999999))) @> current_timestamp
  from regexp_split_to_array(token, '\.') p $$;

create function bench.run(kind text, ours boolean, n integer) returns float8 language plpgsql as $$
declare
  v_payload json := json_build_object('sub', '0198a6d2-7c1b-7d11-b7a3-2f6f3a6c9e01', 'role', 'lab_user', 'iss', 'labos', 'aud', 'labos',
                                      'iat', 1700000000, 'exp', 4102444800, 'email', 'ann@lab.example', 'org_id', '0198a6d2-7c1b-7d11-b7a3-2f6f3a6c9e02');
  v_secret  text := 'a secret of at least thirty-two bytes.';
  v_token   text := labos.sign(v_payload, v_secret);
  v_text    text;
  v_valid   boolean;
  v_start   timestamptz := clock_timestamp();
begin
  for v_i in 1 .. n loop
    -- Another payload each time: nothing is remembered.
    if kind = 'sign' and ours then v_text := labos.sign(v_payload, v_secret || v_i % 7);
    elsif kind = 'sign' then v_text := bench.sign(v_payload, v_secret || v_i % 7);
    elsif ours then select v.valid into v_valid from labos.verify(v_token, v_secret) v;
    else select v.valid into v_valid from bench.verify(v_token, v_secret) v;
    end if;
  end loop;
  if kind = 'verify' and not v_valid then raise exception 'the token did not verify'; end if;
  return extract(epoch from clock_timestamp() - v_start) * 1e6 / n;
end $$;
create temporary table measured (kind text, ours boolean, us float8);
select format('insert into measured values (%L, %L, bench.run(%L, %L, %s))', k.kind, o.ours, k.kind, o.ours, case when o.ours then 4000 else 1000 end)
from (values ('sign'), ('verify')) k(kind), (values (true), (false)) o(ours), generate_series(1, 9) r
order by r, k.kind, o.ours
\gexec
-- A speed-up: ratio is peer time by ours.
select json_build_object('name', 'jwt_hs256_' || kind, 'unit', 'us', 'ours', round(ours::numeric, 3), 'peer', round(peer::numeric, 3),
         'peer_name', 'pgcrypto hmac() in SQL (stand-in for pgjwt)', 'ratio', round((peer / ours)::numeric, 2), 'goal', goal, 'met', peer / ours >= goal)
from (select m.kind, percentile_cont(0.5) within group (order by us) filter (where ours) as ours,
             percentile_cont(0.5) within group (order by us) filter (where not ours) as peer
      from measured m group by m.kind) x
join (values ('sign', 60.0), ('verify', 10.0)) g(kind, goal) using (kind) order by kind;
drop schema bench cascade;
SQL
