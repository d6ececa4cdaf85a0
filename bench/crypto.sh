#!/usr/bin/env bash
# Signing and verifying with asymmetric keys: labos.jwk_sign and labos.jwk_verify beside a C loop over libcrypto alone with
# keys of the same kind, on 400 bytes. Processor time; medians of 5 rounds in turn. Goal: at most 1.15 of the peer.
# Needs PGHOST, PGPORT, PGUSER (a superuser), PGDATABASE of a server with labos deployed (make bench gives one), gcc.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/labos-bench-crypto-XXXXXX")
trap 'rm -rf "$work"' EXIT
cat >"$work/raw.c" <<'C'
/* raw ALG sign|verify N: nanoseconds of processor time per operation on 400 bytes, with a fresh key of the algorithm. */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void
init(EVP_MD_CTX *context, EVP_PKEY *key, const char *alg, int sign)
{
	EVP_PKEY_CTX *inner;
	const char *digest = strcmp(alg, "EdDSA") == 0 ? NULL : "SHA256";

	if ((sign ? EVP_DigestSignInit_ex(context, &inner, digest, NULL, NULL, key, NULL)
		 : EVP_DigestVerifyInit_ex(context, &inner, digest, NULL, NULL, key, NULL)) != 1)
		exit(1);
	if (alg[0] == 'P')
	{
		EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, RSA_PSS_SALTLEN_DIGEST);
	}
}

int
main(int argc, char **argv)
{
	const char *alg = argv[1];
	int			sign = argv[2][0] == 's';
	int			n = atoi(argv[3]);
	EVP_PKEY   *key = strcmp(alg, "EdDSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") :
		alg[0] == 'E' ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") : EVP_RSA_gen(3072);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char data[400], signature[512];
	size_t		len = sizeof(signature);
	struct timespec a, b;

	memset(data, 'x', sizeof(data));
	init(context, key, alg, 1);
	EVP_DigestSign(context, signature, &len, data, sizeof(data));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (int i = 0; i < n; i++)
	{
		size_t		l = sizeof(signature);

		EVP_MD_CTX_reset(context);
		init(context, key, alg, sign);
		if ((sign ? EVP_DigestSign(context, signature, &l, data, sizeof(data))
			 : EVP_DigestVerify(context, signature, len, data, sizeof(data))) != 1)
			return 1;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	printf("%.3f\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / n / 1e3);
	return 0;
}
C
gcc -O2 -o "$work/raw" "$work/raw.c" -lcrypto
{ echo "\\i $here/cpu.sql"; cat <<'SQL'
create table bench.key (alg text primary key, jwk text, public text, n integer);
insert into bench.key (alg, n) values ('EdDSA', 1500), ('ES256', 1500), ('RS256', 600), ('PS256', 600);
SQL
} | psql -X -q -v ON_ERROR_STOP=1 >/dev/null
psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
update bench.key k set jwk = labos.jwk_generate(k.alg)::text;
update bench.key k set public = labos.jwk_public(k.jwk::jsonb)::text;
create function bench.ours(what text, k bench.key) returns float8 language plpgsql as $$
declare
  v_start float8; v_sum bigint; v_key jsonb := k.jwk::jsonb; v_public jsonb := k.public::jsonb; v_data bytea := decode(repeat('78', 400), 'hex');
  v_signature bytea := labos.jwk_sign(v_data, v_key); v_good boolean := labos.jwk_verify(v_data, v_signature, v_public);
begin
  v_start := bench.cpu();
  if what = 'sign' then select sum(octet_length(labos.jwk_sign(set_byte(v_data, 0, g % 256), v_key))) into v_sum from generate_series(1, k.n) g;
  else select count(*) filter (where labos.jwk_verify(set_byte(v_data, 0, 120 + g / 1000000), v_signature, v_public)) into v_sum from generate_series(1, k.n) g; end if;
  if what = 'verify' and v_sum <> k.n then raise exception 'a signature did not verify'; end if;
  return (bench.cpu() - v_start) / 1e3 / k.n;
end $$;
SQL
for alg in EdDSA ES256 RS256 PS256; do
  for what in sign verify; do
    : >"$work/ours"; : >"$work/peer"
    for _ in 1 2 3 4 5; do
      # One session for each round: the key is parsed once in it, as it is in a backend that serves.
      psql -X -q -A -t -v ON_ERROR_STOP=1 -v alg="$alg" -v what="$what" >>"$work/ours" <<'SQL'
set jit to off;
select bench.ours(:'what', k) from bench.key k where k.alg = :'alg' \g /dev/null
select bench.ours(:'what', k) from bench.key k where k.alg = :'alg';
SQL
      "$work/raw" $alg $what 800 >>"$work/peer"
    done
    ours=$(sort -g "$work/ours" | sed -n 3p) peer=$(sort -g "$work/peer" | sed -n 3p)
    awk -v a="$alg" -v w="$what" -v o="$ours" -v p="$peer" 'BEGIN { printf "{\"name\": \"jwt_%s_%s\", \"unit\": \"us\", \"ours\": %.2f, \"peer\": %.2f, \"peer_name\": \"a C loop over libcrypto\", \"ratio\": %.3f, \"goal\": 1.15, \"met\": %s}\n", tolower(a), w, o, p, o / p, o / p <= 1.15 ? "true" : "false" }'
  done
done
psql -X -q -c 'drop schema bench cascade' 2>/dev/null
