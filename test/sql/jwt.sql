-- Tokens, keys and signatures. P-numbers are those of docs/security.md.
\set VERBOSITY terse
\getenv data LABOS_TEST_DATA

-- pgjwt ----------------------------------------------------------------------
-- pgjwt's published values come out the same.
select labos.sign('{"sub":"1234567890","name":"John Doe","admin":true}', 'secret')
     = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ' as hs256_by_default,
  labos.sign('{"sub":"1234567890","name":"John Doe","admin":true}', 'secret', 'HS384')
     = 'eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.DtVnCyiYCsCbg8gUP-579IC2GJ7P3CtFw6nfTTPw-0lZUzqgWAo9QIQElyxOpoRm' as hs384,
  labos.sign('{"sub":"1234567890","name":"John Doe","admin":true}', 'secret', 'HS512')
     = 'eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.YI0rUGDq5XdRw8vW2sDLRNFMN8Waol03iSFH8I4iLzuYK7FKHaQYWzPt0BJFGrAmKJ6SjY0mJIMZqNQJFVpkuw' as hs512;
select alg, secret, v.*
from (values
  ('HS256', 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ'),
  ('HS384', 'eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.DtVnCyiYCsCbg8gUP-579IC2GJ7P3CtFw6nfTTPw-0lZUzqgWAo9QIQElyxOpoRm'),
  ('HS512', 'eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.YI0rUGDq5XdRw8vW2sDLRNFMN8Waol03iSFH8I4iLzuYK7FKHaQYWzPt0BJFGrAmKJ6SjY0mJIMZqNQJFVpkuw')) t(alg, token),
  (values ('secret'), ('badsecret')) s(secret),
  lateral labos.verify(token, secret, alg) v
order by alg, secret desc;
-- An unknown algorithm is refused in pgjwt's words, bogus segments are refused.
\set VERBOSITY default
select labos.sign('{"sub":"1234567890","name":"John Doe","admin":true}', 'secret', 'bogus');
\set VERBOSITY terse
select * from labos.verify('eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ', 'secret', 'bogus');
select * from labos.verify('eyJhbGciOiJIUzI1NiIBOGUScCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiYWRtaW4iOnRydWV9.TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ', 'secret', 'HS256');
select * from labos.verify('eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaBOGUS9lIiwiYWRtaW4iOnRydWV9.TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ', 'secret', 'HS256');
-- Times that are texts and no numbers are ignored, as its tests demand.
select payload, valid from labos.verify('eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJuYmYiOiJuby1kb3VibGUifQ.6TDHvMKq3Z67KaexRMuhoQ20sYSj9jConcUCO3g2bGyHXACq-FPkJIRAsy1xX90fWKieIAW_tz-4bbFLwwOTPg', 'secret', 'HS512');
select payload, valid from labos.verify('eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOiI3NXoifQ.nfXYiSNNdYNsLrQp5Zry9p0xDCh_CkMSY1dOdqDCLc1YrDxrItwEmZIlTi3BBO8_9OCameSKMyGysYGDCNoaRg', 'secret', 'HS512');
-- Times around now.
select name, (labos.verify(labos.sign(claims, 'secret', 'HS512'), 'secret', 'HS512')).valid
from (select extract(epoch from current_timestamp) as now) n, lateral (values
  (1, 'before nbf', json_build_object('nbf', now + 1)),
  (2, 'after nbf', json_build_object('nbf', now - 1)),
  (3, 'after exp', json_build_object('exp', now - 1)),
  (4, 'before exp', json_build_object('exp', now + 1)),
  (5, 'after both', json_build_object('nbf', now - 3, 'exp', now - 1)),
  (6, 'between', json_build_object('nbf', now - 3, 'exp', now + 3)),
  (7, 'exp before nbf', json_build_object('nbf', now + 3, 'exp', now - 3))) t(i, name, claims) order by i;
-- base64url as pgjwt's, but strict.
select labos.url_encode('\x'), labos.url_encode('\xfb'), labos.url_encode('\xfbff'), labos.url_encode('\xfbffbe'),
  length(labos.url_encode(decode(repeat('00', 100), 'hex'))) as unbroken;
select labos.url_decode(labos.url_encode(sha512(x::text::bytea))) = sha512(x::text::bytea) as back from generate_series(1, 2) x;
select labos.url_decode('-_-_'), labos.url_decode('');
select labos.url_decode('QQ==');
select labos.url_decode('QR');
select labos.url_decode('Q');
select labos.url_decode('Q Q');
select labos.url_decode('+/+/');
-- RFC 4231, test case 2.
select encode(labos.url_decode(labos.algorithm_sign('what do ya want for nothing?', 'Jefe', 'HS256')), 'hex')
     = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843' as rfc_4231;
-- Nothing for nothing; an empty secret signs nothing.
select labos.sign(null, 'secret') is null as no_payload, (labos.verify(null, 'secret')).valid is null as no_token;
select labos.sign('{}', '');
select labos.verify('a.b.c', '');
select labos.sign('{"a":1,"a":2}', 'secret');
select labos.sign('{"a":{"b":1,"\u0062":2}}', 'secret');
select labos.sign('[1]', 'secret');
select labos.sign('{"a":"\u0000"}', 'secret');

-- A helper: a token with any header and payload, signed with HS256.
create function pg_temp.forge(header text, payload text, secret text default 'secret') returns text
language sql as $$
  select x || '.' || labos.algorithm_sign(x, secret, 'HS256')
  from (select labos.url_encode(convert_to(header, 'utf8')) || '.' || labos.url_encode(convert_to(payload, 'utf8'))) t(x)
$$;
-- P1, P2, P4: a header of another algorithm, none, crit or b64 is not valid, though the signature is right.
select header, (labos.verify(pg_temp.forge(header, '{}'), 'secret')).valid
from (values (1, '{"alg":"HS256"}'), (2, '{"alg":"HS384"}'), (3, '{"alg":"none"}'), (4, '{"alg":"nOnE"}'), (5, '{"alg":"RS256"}'),
  (6, '{"alg":null}'), (7, '{}'), (8, '{"alg":["HS256"]}'), (9, '{"alg":"hs256"}'),
  (10, '{"alg":"HS256","crit":[]}'), (11, '{"alg":"HS256","crit":["exp"],"exp":1}'), (12, '{"alg":"HS256","b64":false}')) t(i, header) order by i;
-- P9: duplicate members are refused, however they are written.
select labos.verify(pg_temp.forge('{"alg":"HS256","alg":"none"}', '{}'), 'secret');
select labos.verify(pg_temp.forge('{"alg":"HS256","\u0061lg":"none"}', '{}'), 'secret');
select labos.verify(pg_temp.forge('{"alg":"HS256"}', '{"role":"lab_anon","role":"lab_user"}'), 'secret');
-- P10: times that are null, no numbers, not finite or out of range are not valid.
select payload, (labos.verify(pg_temp.forge('{"alg":"HS256"}', payload), 'secret')).valid
from (values (1, '{"exp":null}'), (2, '{"exp":1e400}'), (3, '{"exp":-1}'), (4, '{"exp":true}'), (5, '{"exp":[99999999999]}'), (6, '{"exp":{}}'),
  (7, '{"exp":253402300800}'), (8, '{"exp":253402300799}'), (9, '{"nbf":null}'), (10, '{"nbf":-0.5}'), (11, '{"exp":"99999999999"}'), (12, '{"exp":"1"}'),
  (13, '{"exp":"Infinity"}'), (14, '{"exp":"NaN"}'), (15, '{"nbf":0}')) t(i, payload) order by i;

-- Keys -----------------------------------------------------------------------
-- What a key may be: every refusal says why (to administrators).
create function pg_temp.try_key(jwk jsonb) returns text language plpgsql as $$
declare v_detail text;
begin
  perform labos.jwk_thumbprint(jwk);
  return 'ok';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return sqlstate || ' ' || v_detail;
end $$;
create temp table known as
select v->>'id' as id, v->'jwk' as jwk, v->>'jws' as jws
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/rfc_vectors.json')::jsonb->'jws') v;
select id, labos.jws_verify(jws, jwk) as verifies from known where jws is not null and jwk <> 'null' order by id;
-- An unsecured token (RFC 7519, 6.1) verifies with no key.
select id, labos.jws_verify(jws, k.jwk) as verifies from known, (select jwk from known where id = 'RFC7515-A.1') k where known.jwk = 'null' or known.jwk is null;
-- RFC 7638 and RFC 8037: thumbprints.
select v->>'id' as id, labos.jwk_thumbprint(v->'jwk') = v->>'sha256' as as_published
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/rfc_vectors.json')::jsonb->'rfc7638_thumbprint') v order by 1;
select what, pg_temp.try_key(jwk) from (values
  (1, 'no object', '[]'::jsonb), (2, 'empty', '{}'), (3, 'unknown kty', '{"kty":"XYZ"}'),
  (4, 'no secret', '{"kty":"oct"}'), (5, 'empty secret', '{"kty":"oct","k":""}'),
  (6, 'short secret (P13)', '{"kty":"oct","k":"c2hvcnQ"}'),
  (7, 'secret of 32 for HS512', '{"kty":"oct","alg":"HS512","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (8, 'padded secret', '{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}'),
  (9, 'alg none', '{"kty":"oct","alg":"none","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (10, 'alg of another kty', '{"kty":"oct","alg":"RS256","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (11, 'alg a number', '{"kty":"oct","alg":256,"k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (12, 'use enc', '{"kty":"oct","use":"enc","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (13, 'ops encrypt', '{"kty":"oct","key_ops":["encrypt"],"k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (14, 'ops a text', '{"kty":"oct","key_ops":"sign","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (15, 'small order point', '{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (16, 'zero point', '{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (17, 'short point', '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcH"}'),
  (18, 'another curve', '{"kty":"OKP","crv":"Ed448","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'),
  (19, 'halves of two keys', '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (20, 'point off the curve', '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5b0"}'),
  (21, 'short coordinate', '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVA","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'),
  (22, 'curve of another alg (P14)', '{"kty":"EC","alg":"ES384","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'),
  (23, 'secp256k1', '{"kty":"EC","crv":"secp256k1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'),
  (24, 'RSA of 512 bits', jsonb_build_object('kty', 'RSA', 'e', 'AQAB', 'n', labos.url_encode(decode(repeat('ff', 64), 'hex')))),
  (25, 'RSA exponent 1', (select jwk || '{"e":"AQ"}' from known where id = 'RFC7515-A.2')),
  (26, 'RSA even exponent', (select jwk || '{"e":"Ag"}' from known where id = 'RFC7515-A.2')),
  (27, 'RSA leading zero', (select jwk || '{"e":"AAEAAQ"}' from known where id = 'RFC7515-A.2')),
  (28, 'RSA of 16384 bits', jsonb_build_object('kty', 'RSA', 'e', 'AQAB', 'n', labos.url_encode(decode(repeat('ff', 2048), 'hex')))),
  (29, 'RSA half private', (select jwk || '{"d":"AQAB"}' from known where id = 'RFC7515-A.2')),
  (30, 'kid a number', '{"kty":"oct","kid":1,"k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (31, 'kid empty', '{"kty":"oct","kid":"","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'),
  (32, 'a huge key', jsonb_build_object('kty', 'oct', 'k', repeat('A', 20000))),
  (33, 'deep nesting', ('{"kty":"oct","x":' || repeat('[', 1000) || repeat(']', 1000) || '}')::jsonb)
  ) t(i, what, jwk) order by i;

-- Every algorithm: a generated key signs, its public part verifies and signs nothing, another key does not verify.
create temp table made as
select alg, labos.jwk_generate(alg) as jwk, labos.jwk_generate(alg) as other
from unnest(array['HS256','HS384','HS512','RS256','PS256','ES256','ES384','ES512','EdDSA']) alg;
select alg, jwk->>'kty' as kty, jwk->>'crv' as crv, jwk->>'use' as use, jwk->>'alg' = alg as bound,
  case when jwk->>'kty' = 'oct' then length(jwk->>'kid') = 22 else jwk->>'kid' = labos.jwk_thumbprint(jwk) end as named,
  v.valid, v.reason, v.header = jsonb_build_object('alg', alg, 'typ', 'JWT', 'kid', jwk->>'kid') as header, v.payload = '{"sub":"x","n":1.5}' as payload,
  (labos.jwt_verify(token, other || jsonb_build_object('kid', jwk->'kid'))).reason as with_other,
  (labos.jwt_verify(overlay(token placing case substr(token, length(token) - 20, 1) when 'A' then 'B' else 'A' end from length(token) - 20), jwk)).reason as altered
from made, lateral (select labos.jwt_sign('{"sub":"x","n":1.5}', jwk)) s(token),
  lateral labos.jwt_verify(token, coalesce(labos.jwk_public(jwk), jwk)) v order by alg;
-- The public part holds nothing private; a symmetric key has none.
select alg, (select string_agg(k, ' ' order by k) from jsonb_object_keys(labos.jwk_public(jwk)) k) as public from made order by alg;
select labos.jwt_sign('{}', labos.jwk_public(jwk)) from made where alg = 'EdDSA';
-- The other digests of RSA with the same key under another alg.
select alg, (labos.jwt_verify(labos.jwt_sign('{}', jwk || jsonb_build_object('alg', alg)), jwk || jsonb_build_object('alg', alg))).valid,
  (labos.jwt_verify(labos.jwt_sign('{}', jwk || jsonb_build_object('alg', alg)), jwk)).reason
from (select jwk from made where made.alg = 'RS256') m, unnest(array['RS384','RS512','PS256','PS384','PS512']) alg;
select labos.jwk_generate('none');
select labos.jwk_generate('HS1');
-- P1: an RSA, EC or Ed25519 key without alg never verifies an HMAC; P3: nor does the text of a public key.
select alg, (labos.jwt_verify(pg_temp.forge('{"alg":"HS256"}', '{}', labos.jwk_public(jwk)::text), labos.jwk_public(jwk) - 'alg')).reason
from made where alg in ('RS256', 'ES256', 'EdDSA') order by alg;
-- key_ops and use bind: a key for signing only does not verify.
select (labos.jwt_verify(labos.jwt_sign('{}', k), k)).reason, length(labos.jwt_sign('{}', k)) > 20 as signs
from (select jwk || '{"key_ops":["sign"]}' as k from made where alg = 'EdDSA') t;
-- PEM in, JWK out: RFC 8410's Ed25519 keys, a P-256 key; the algorithm must fit.
select labos.jwk_from_pem(E'-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n');
select labos.jwk_from_pem(E'-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n') ->> 'x'
     = 'Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE' as private_part;
select labos.jwk_from_pem(E'-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n', 'ES256');
select labos.jwk_from_pem('-----BEGIN PUBLIC KEY-----');
select labos.jwk_from_pem(null) is null as nothing;
-- A curve is told by its name, not by its 256 bits, and a weak key is refused here already.
select labos.jwk_from_pem(E'-----BEGIN PUBLIC KEY-----\nMFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEW0cassvejQCQhWgL6lW/dThuisVGFKfw\nen6IE/sEXRanJt4MB3PZhm+/rOuRZpmrUII1GkaJ3RgzmGtvK0Z9Ig==\n-----END PUBLIC KEY-----');
select labos.jwk_from_pem(E'-----BEGIN PUBLIC KEY-----\nMFowFAYHKoZIzj0CAQYJKyQDAwIIAQEHA0IABI9wh3NxMOrruSHJCveCb5JRUWPb\nMYQ+6yyCx+9F5z0lj5PzVIW4hwXf2Q/nGHs0E758VNceI+qwtZt4l3tJiqI=\n-----END PUBLIC KEY-----');
select labos.jwk_from_pem(E'-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDNqoEoo/1cRab/YGkdRYgC22Y7\nUe85V3Ci5peByaNKuIacg4fC4Yx9jUsok4T6odTCTycMwhFYiv0oiQ/7fa9vqulp\ni3QI/pFVC0AMAsrhzxecgzsjZTmXsCMSQxGP4aOrNF64WzX74h7Fb+RW2EEPB1pE\nar2wmsBfxEcJulHf1QIDAQAB\n-----END PUBLIC KEY-----');

-- Tokens ---------------------------------------------------------------------
create temp table k as select jwk, labos.jwk_public(jwk) as pub from made where alg = 'EdDSA';
create function pg_temp.token(header text, payload text) returns text language sql as $$
  select x || '.' || labos.url_encode(labos.jwk_sign(convert_to(x, 'utf8'), k.jwk))
  from pg_temp.k, (select labos.url_encode(convert_to(header, 'utf8')) || '.' || labos.url_encode(convert_to(payload, 'utf8'))) t(x)
$$;
create function pg_temp.reason(token text) returns text language sql as $$ select (labos.jwt_verify(token, k.pub)).reason from pg_temp.k $$;
select what, pg_temp.reason(pg_temp.token(coalesce(header, '{"alg":"EdDSA"}'), coalesce(payload, '{}'))) from (values
  (1, 'plain', null, null),
  (2, 'P2 none', '{"alg":"none"}', null), (3, 'P2 None', '{"alg":"None"}', null), (4, 'P1 other algorithm', '{"alg":"ES256"}', null), (5, 'no alg', '{}', null),
  (6, 'P4 crit', '{"alg":"EdDSA","crit":["exp"]}', null), (7, 'P4 empty crit', '{"alg":"EdDSA","crit":[]}', null), (8, 'P4 b64', '{"alg":"EdDSA","b64":true}', null),
  (9, 'P5 jku is not looked at', '{"alg":"EdDSA","jku":"https://example.org","x5u":"file:///etc/passwd"}', null),
  (10, 'P6 other kid', '{"alg":"EdDSA","kid":"other"}', null), (11, 'P6 kid a number', '{"alg":"EdDSA","kid":1}', null),
  (12, 'P6 kid of 300', '{"alg":"EdDSA","kid":"' || repeat('a', 300) || '"}', null),
  (13, 'P9 twice', '{"alg":"EdDSA","alg":"EdDSA"}', null), (14, 'P9 twice in the payload', null, '{"role":"a","role":"b"}'),
  (15, 'P9 twice, escaped', null, '{"role":"a","r\u006fle":"b"}'), (16, 'P9 twice, deep', null, '{"a":[{"b":1,"b":1}]}'),
  (17, 'same name at two depths', null, '{"a":{"a":{"a":1}}}'),
  (18, 'header no JSON', 'alg', null), (19, 'header an array', '[1]', null), (20, 'header with a tail', '{"alg":"EdDSA"}x', null),
  (21, 'payload no JSON', null, 'x'), (22, 'payload empty', null, ''), (23, 'payload an array', null, '[]'), (24, 'payload a text', null, '"a"'),
  (25, 'P15 deep', null, '{"a":' || repeat('[', 20) || repeat(']', 20) || '}'), (26, 'P15 zero character', null, '{"a":"\u0000"}'),
  (27, 'lone surrogate', null, '{"a":"\ud800"}'), (28, 'control character', null, E'{"a":"\n"}'), (29, 'trailing comma', null, '{"a":1,}'),
  (30, 'leading zero', null, '{"a":01}'), (31, 'huge exponent', null, '{"a":1e99999}'), (32, 'bare word', null, '{"a":nul}'), (33, 'unclosed', null, '{"a":1'),
  (34, 'exp a text', null, '{"exp":"99999999999"}'), (35, 'exp null', null, '{"exp":null}'), (36, 'exp 1e400', null, '{"exp":1e400}'), (37, 'exp negative', null, '{"exp":-1}'),
  (38, 'exp 10000', null, '{"exp":253402300800}'), (39, 'exp past', null, '{"exp":1}'), (40, 'exp far', null, '{"exp":253402300799}'),
  (41, 'nbf future', null, '{"nbf":99999999999}'), (42, 'iat future', null, '{"iat":99999999999}'), (43, 'nbf a text', null, '{"nbf":"x"}'), (44, 'iat true', null, '{"iat":true}')
  ) t(i, what, header, payload) order by i;
-- P7: three strict segments.
select what, pg_temp.reason(t) from pg_temp.token('{"alg":"EdDSA"}', '{}') good, lateral (values
  (1, 'good', good), (2, 'padding', good || '='), (3, 'space', good || ' '), (4, 'leading space', ' ' || good), (5, 'line end', good || E'\n'), (6, 'question mark', replace(good, '.', '?.')),
  (7, 'four segments', good || '.'), (8, 'two segments', split_part(good, '.', 1) || '.' || split_part(good, '.', 2)), (9, 'empty', ''), (10, 'dots', '..'), (11, 'no signature', split_part(good, '.', 1) || '.' || split_part(good, '.', 2) || '.'),
  (12, 'no header', '.e30.AAAA'), (13, 'P8 short signature', left(good, -2)), (14, 'P8 long signature', good || 'AAAA'), (15, 'not ASCII', good || 'é'),
  (16, 'P15 10 MB', repeat('A', 10000000)), (17, '10 MB of dots', repeat('.', 10000000)), (18, 'a number', '12345')) v(i, what, t) order by i;
-- Unused bits of a signature must be zero: of the four texts for one signature one is taken.
select count(*) filter (where pg_temp.reason(left(good, -1) || c) = 'ok') as accepted, count(*) filter (where pg_temp.reason(left(good, -1) || c) = 'malformed') as malformed
from pg_temp.token('{"alg":"EdDSA"}', '{}') good, regexp_split_to_table('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', '') c;
-- A payload that is not UTF-8.
select (labos.jwt_verify(x || '.' || labos.url_encode(labos.jwk_sign(convert_to(x, 'utf8'), jwk)), pub)).reason
from k, (select labos.url_encode('{"alg":"EdDSA"}') || '.' || labos.url_encode('\x7b2261223a22ff227d')) t(x);
-- The leeway is a setting of at most a minute.
set labos.jwt_leeway = '30s';
select pg_temp.reason(pg_temp.token('{"alg":"EdDSA"}', format('{"exp":%s}', extract(epoch from clock_timestamp()) - 5))) as late,
  pg_temp.reason(pg_temp.token('{"alg":"EdDSA"}', format('{"nbf":%s}', extract(epoch from clock_timestamp()) + 5))) as early;
reset labos.jwt_leeway;
\set VERBOSITY sqlstate
set labos.jwt_leeway = '61s';
\set VERBOSITY terse
select pg_temp.reason(pg_temp.token('{"alg":"EdDSA"}', format('{"exp":%s}', extract(epoch from clock_timestamp()) - 5))) as late;
-- What we would not accept we do not sign (P15), nor with a key id that is unsafe elsewhere (P6).
select labos.jwt_sign('[]', jwk) from k;
select labos.jwt_sign('{"exp":"soon"}', jwk) from k;
select labos.jwt_sign(jsonb_build_object('a', repeat('x', 9000)), jwk) from k;
select labos.jwt_sign('{}', jwk, '../../etc/passwd') from k;
select labos.jwt_sign('{}', jwk, repeat('a', 65)) from k;
select v.header from k, labos.jwt_verify(labos.jwt_sign('{}', jwk, '', 'at+jwt'), pub) v;
select v.header from k, labos.jwt_verify(labos.jwt_sign('{}', jwk, '', null), pub) v;
select labos.jwt_sign(null, jwk) is null as nothing from k;
select labos.jwt_sign('{}', '{"kty":"oct"}');
-- P20: whatever a token says, it is an answer and no error; nothing of it comes back.
select count(*) filter (where valid or header is not null or payload is not null) as shown from k, pg_temp.token('{"alg":"EdDSA"}', '{"sub":"x"}') t, generate_series(0, length(t) - 1) i,
  lateral labos.jwt_verify(left(t, i), pub);
-- A random token has 43 characters and never comes twice.
select count(distinct t) as different, min(length(t)), max(length(t)), bool_and(t ~ '^[A-Za-z0-9_-]{43}$') as alphabet from (select labos.random_token() from generate_series(1, 1000)) x(t);

-- Published vectors ----------------------------------------------------------
-- Wycheproof, JSON Web Signatures: 393 of 401 agree; the others are listed faults of the vectors (test/vectors/README.md).
create function pg_temp.jws(token text, jwk jsonb) returns boolean language plpgsql as $$
begin
  return labos.jws_verify(token, jwk);
exception when sqlstate 'LB102' then return false;
end $$;
create temp table wycheproof as
select (t->>'tcId')::int as id, t->>'result' as result, pg_temp.jws(t->>'jws', coalesce(g->'public', g->'private')) as verified
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/wycheproof/json_web_signature_test.json')::jsonb->'testGroups') g, jsonb_array_elements(g->'tests') t;
select count(*) as cases, count(*) filter (where verified = (result = 'valid')) as agree,
  array_agg(id order by id) filter (where verified <> (result = 'valid')) as differ,
  array_agg(id order by id) filter (where verified <> (result = 'valid')) = '{346,347,350,351,367,370,372,373}' as only_known_faults from wycheproof;
-- Wycheproof, ECDSA P-256 (r and s), Ed25519, HMAC-SHA-256; where a group has no JWK its PEM is read.
select count(*) as cases, count(*) filter (where labos.jwk_verify(decode(t->>'msg', 'hex'), decode(t->>'sig', 'hex'), coalesce(g->'publicKeyJwk', labos.jwk_from_pem(g->>'publicKeyPem')) - 'kid') = (t->>'result' = 'valid')) as agree
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json')::jsonb->'testGroups') g, jsonb_array_elements(g->'tests') t;
select count(*) as cases, count(*) filter (where labos.jwk_verify(decode(t->>'msg', 'hex'), decode(t->>'sig', 'hex'), coalesce(g->'publicKeyJwk', labos.jwk_from_pem(g->>'publicKeyPem')) - 'kid') = (t->>'result' = 'valid')) as agree
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/wycheproof/ed25519_test.json')::jsonb->'testGroups') g, jsonb_array_elements(g->'tests') t;
-- Truncated tags, which are valid in general, are none of ours; keys below 256 bits are refused.
create function pg_temp.hmac(msg bytea, tag bytea, key bytea) returns text language plpgsql as $$
begin
  return labos.jwk_verify(msg, tag, jsonb_build_object('kty', 'oct', 'k', labos.url_encode(key)));
exception when sqlstate 'LB102' then return 'refused';
end $$;
select g->'keySize' as key_bits, g->'tagSize' as tag_bits, t->>'result' as result, pg_temp.hmac(decode(t->>'msg', 'hex'), decode(t->>'tag', 'hex'), decode(t->>'key', 'hex')) as answer, count(*)
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/wycheproof/hmac_sha256_test.json')::jsonb->'testGroups') g, jsonb_array_elements(g->'tests') t
group by 1, 2, 3, 4 order by 1, 2, 3, 4;

-- Leaks ----------------------------------------------------------------------
-- 16,000 failing verifications with two kinds of keys grow the process by less than 2 MB (a sanitizer keeps what is freed).
create function pg_temp.rss() returns int language sql volatile as $$ select substring(pg_read_file('/proc/self/status') from 'VmRSS:\s+(\d+)')::int $$;
create temp table bad as select m.alg, labos.jwk_public(m.jwk) as pub, labos.jwt_sign('{"sub":"x"}', o.jwk, '') as token from made m join made o using (alg) where false;
insert into bad select alg, labos.jwk_public(jwk), labos.jwt_sign('{"sub":"x"}', other, '') from made where alg in ('ES256', 'EdDSA');
do $$
declare v_start int; v_bad record;
begin
  for v_round in 0 .. 8 loop
    if v_round = 1 then v_start := pg_temp.rss(); end if;
    for v_bad in select * from bad loop
      perform (labos.jwt_verify(v_bad.token, v_bad.pub)).valid from generate_series(1, 1000);
    end loop;
  end loop;
  raise notice 'grown by less than 2 MB: %', pg_temp.rss() - v_start < 2048 or pg_read_file('/proc/self/maps') ~ 'libasan|vgpreload';
end $$;
-- A hundred keys in turn: the cache stays bounded, and every one still verifies.
select count(*) filter (where (labos.jwt_verify(labos.jwt_sign('{}', j), labos.jwk_public(j))).valid) as valid from (select labos.jwk_generate('EdDSA') from generate_series(1, 100)) t(j);
-- No thread was started.
select count(*) as threads from pg_ls_dir('/proc/self/task');
-- Nothing with a private key is executable by everybody.
select p.proname from pg_proc p where p.pronamespace = 'labos'::regnamespace and p.proname ~ '^(jwk_|jwt_|jws_|password_|secret_|master_key|bcrypt)'
  and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0) order by 1;
