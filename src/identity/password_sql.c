/*-------------------------------------------------------------------------
 *
 * password_sql.c
 *		SQL functions over passwords.
 *
 * Copies of the password that we make are wiped; those of the protocol, the
 * parser and the executor are not ours to wipe (docs/security.md).
 *
 * IDENTIFICATION
 *	  src/identity/password_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "core/errors.h"
#include "identity/password.h"
#include "identity/throttle.h"

/* A password argument: the bytes given and their NFC. */
typedef struct Password
{
	char	   *raw;
	int			raw_len;
	char	   *normal;			/* NULL when it has a control character */
	int			normal_len;
	bool		differ;
	bool		too_long;
} Password;

static LbPasswordRules
current_rules(void)
{
	LbPasswordRules rules;

	rules.scheme = (LbPasswordScheme) lb_setting_password_scheme;
	rules.memory = lb_setting_argon2_memory;
	rules.iterations = lb_setting_argon2_iterations;
	rules.bcrypt_cost = lb_setting_bcrypt_cost;
	return rules;
}

/* The scheme a caller named, or the setting's. */
static LbPasswordScheme
scheme_argument(FunctionCallInfo fcinfo, int n)
{
	char	   *name;

	if (PG_ARGISNULL(n))
		return (LbPasswordScheme) lb_setting_password_scheme;
	name = text_to_cstring(PG_GETARG_TEXT_PP(n));
	if (strcmp(name, "argon2id") == 0)
		return LB_PASSWORD_ARGON2ID;
	if (strcmp(name, "bcrypt") == 0)
		return LB_PASSWORD_BCRYPT;
	ereport(ERROR,
			errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("password scheme \"%s\" is not known", name),
			errhint("Use argon2id or bcrypt."));
	pg_unreachable();
}

static Password
password_argument(FunctionCallInfo fcinfo, int n)
{
	text	   *value = PG_GETARG_TEXT_PP(n);
	Password	p = {0};

	p.raw_len = VARSIZE_ANY_EXHDR(value);
	p.too_long = p.raw_len > LB_PASSWORD_MAX_BYTES;
	if (!p.too_long)
	{
		/* Zeros behind it: a broken last character is not read past. */
		p.raw = palloc0(p.raw_len + 4);
		memcpy(p.raw, VARDATA_ANY(value), p.raw_len);
		p.normal = lb_password_normalize(p.raw, p.raw_len, &p.normal_len, &p.differ);
		p.too_long = p.normal != NULL && p.normal_len > LB_PASSWORD_MAX_BYTES;
	}
	/* A copy that detoasting made is ours. */
	if ((Pointer) value != DatumGetPointer(PG_GETARG_DATUM(n)))
		lb_wipe(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	return p;
}

static void
wipe_password(Password *p)
{
	if (p->raw != NULL)
		lb_wipe(p->raw, p->raw_len);
	if (p->normal != NULL)
		lb_wipe(p->normal, p->normal_len);
}

static void
no_memory(void)
{
	ereport(ERROR,
			errcode(ERRCODE_OUT_OF_MEMORY),
			errmsg("could not allocate memory for a password hash"));
}

/* Refuses what cannot be hashed; rules of strength are password_problems'. */
static void
refuse_unhashable(const Password *p, LbPasswordScheme scheme)
{
	if (p->raw_len == 0)
		lb_refuse(422, "password_empty", NULL, "Choose a password.",
				  "password is empty");
	if (p->too_long ||
		(scheme == LB_PASSWORD_BCRYPT && p->normal != NULL &&
		 p->normal_len > LB_BCRYPT_MAX_BYTES))
		lb_refuse(422, "password_too_long",
				  scheme == LB_PASSWORD_BCRYPT ? "\"max_bytes\": 72" : "\"max_bytes\": 4096",
				  "Choose a shorter password.", "password is too long");
	if (p->normal == NULL)
		lb_refuse(422, "password_control_character", NULL,
				  "Choose a password without control characters.",
				  "password has a control character");
}

/*
 * labos.password_hash(password text, scheme text) returns text
 *		A salted hash of the NFC-normalised password; scheme null: the setting.
 *
 * Units:	labos.argon2_memory KiB, labos.bcrypt_cost log2 of rounds
 * Errors:	PT422 password_empty, password_too_long, password_control_character;
 *			22023 unknown scheme; 53200 no memory; PT429 busy
 * Cost:	50 to 400 ms at the defaults, on purpose
 * SQL:		volatile parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_password_hash);

Datum
labos_password_hash(PG_FUNCTION_ARGS)
{
	LbPasswordRules rules = current_rules();
	Password	p;
	char		hash[LB_PASSWORD_HASH_SIZE];
	bool		ok;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	rules.scheme = scheme_argument(fcinfo, 1);
	p = password_argument(fcinfo, 0);
	refuse_unhashable(&p, rules.scheme);
	lb_hash_slot_acquire();
	ok = lb_password_make(p.normal, p.normal_len, &rules, hash);
	lb_hash_slot_release();
	wipe_password(&p);
	if (!ok)
		no_memory();
	PG_RETURN_TEXT_P(cstring_to_text(hash));
}

/*
 * Does the password match?  The normalised form first, then, where it
 * differs, the bytes as they came: imported hashes were made of those (P44).
 */
static bool
check_password(Password *p, const char *hash)
{
	LbPasswordAnswer answer;

	/* These never made a hash, whoever the user is: nothing to hide. */
	if (p->raw_len == 0 || p->too_long)
		return false;
	answer = p->normal == NULL ?
		lb_password_check(p->raw, p->raw_len, hash) :
		lb_password_check(p->normal, p->normal_len, hash);
	if (answer == LB_PASSWORD_DIFFERS && p->normal != NULL && p->differ)
		answer = lb_password_check(p->raw, p->raw_len, hash);
	if (answer == LB_PASSWORD_NO_MEMORY)
	{
		wipe_password(p);
		no_memory();
	}
	return answer == LB_PASSWORD_MATCHES;
}

/*
 * labos.password_verify(password text, hash text) returns boolean
 *		Takes $argon2id$, $2a$, $2b$ and $2y$; anything else is false.
 *
 * Errors:	53200 no memory, PT429 busy; never one that depends on password or hash
 * Cost:	that of the hash; parameters beyond 256 MiB, 10 passes, 16 lanes or
 *			bcrypt cost 14 are refused before they cost anything
 * SQL:		volatile strict parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_password_verify);

Datum
labos_password_verify(PG_FUNCTION_ARGS)
{
	text	   *hash = PG_GETARG_TEXT_PP(1);
	bool		result = false;
	Password	p;

	lb_hash_slot_acquire();
	p = password_argument(fcinfo, 0);
	if (VARSIZE_ANY_EXHDR(hash) < LB_PASSWORD_HASH_SIZE)
		result = check_password(&p, text_to_cstring(hash));
	wipe_password(&p);
	lb_hash_slot_release();
	PG_RETURN_BOOL(result);
}

/*
 * labos.password_dummy_verify(password text) returns boolean
 *		False, after the work that a hash of the current settings would cost:
 *		so that an unknown user takes as long as a wrong password.
 *
 * Errors:	53200 no memory, PT429 busy
 * SQL:		volatile strict parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_password_dummy_verify);

Datum
labos_password_dummy_verify(PG_FUNCTION_ARGS)
{
	LbPasswordRules rules = current_rules();
	char		hash[LB_PASSWORD_HASH_SIZE];
	Password	p;

	lb_hash_slot_acquire();
	p = password_argument(fcinfo, 0);
	lb_password_dummy_hash(&rules, hash);
	(void) check_password(&p, hash);
	wipe_password(&p);
	lb_hash_slot_release();
	PG_RETURN_BOOL(false);
}

/*
 * labos.password_needs_rehash(hash text) returns boolean
 *		True when a hash is of another scheme than the setting's or weaker.
 *
 * SQL:		stable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_password_needs_rehash);

Datum
labos_password_needs_rehash(PG_FUNCTION_ARGS)
{
	LbPasswordRules rules = current_rules();
	text	   *hash = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(VARSIZE_ANY_EXHDR(hash) >= LB_PASSWORD_HASH_SIZE ||
				   lb_password_is_stale(text_to_cstring(hash), &rules));
}

/* The elements of a text array that are not null, as C strings. */
static char **
text_elements(ArrayType *array, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	char	  **strings;
	int			count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &values, &nulls, &count);
	strings = palloc(sizeof(char *) * (count + 1));
	*n = 0;
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			strings[(*n)++] = TextDatumGetCString(values[i]);
	return strings;
}

/*
 * labos.password_problems(password text, context text[]) returns text[]
 *		What is wrong with a new password; empty when nothing is.
 *
 * Units:	labos.password_min_length characters
 * SQL:		stable parallel safe
 */
PG_FUNCTION_INFO_V1(labos_password_problems);

Datum
labos_password_problems(PG_FUNCTION_ARGS)
{
	const char *problems[LB_PASSWORD_MAX_PROBLEMS];
	Datum		names[LB_PASSWORD_MAX_PROBLEMS];
	char	  **context = NULL;
	int			ncontext = 0;
	int			n;
	Password	p;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	p = password_argument(fcinfo, 0);
	if (!PG_ARGISNULL(1))
		context = text_elements(PG_GETARG_ARRAYTYPE_P(1), &ncontext);
	if (p.too_long)
	{
		problems[0] = "too_long";
		n = 1;
	}
	else
		n = lb_password_problems(p.normal ? p.normal : p.raw,
								 p.normal ? p.normal_len : p.raw_len,
								 lb_setting_password_policy == LB_POLICY_NIST,
								 lb_setting_password_min_length,
								 lb_setting_password_scheme == LB_PASSWORD_BCRYPT,
								 context, ncontext, problems);
	wipe_password(&p);
	for (int i = 0; i < n; i++)
		names[i] = CStringGetTextDatum(problems[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * labos.bcrypt(password bytea, setting text) returns text
 *		bcrypt of bytes for a $2a$, $2b$, $2x$ or $2y$ setting, for imports and
 *		tests; null when the setting is not one or the bytes hold a zero.
 *
 * SQL:		immutable strict parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_bcrypt);

Datum
labos_bcrypt(PG_FUNCTION_ARGS)
{
	bytea	   *password = PG_GETARG_BYTEA_PP(0);
	char	   *setting = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			len = VARSIZE_ANY_EXHDR(password);
	char		hash[LB_PASSWORD_HASH_SIZE];
	char	   *bytes;
	bool		ok;

	if (len > LB_PASSWORD_MAX_BYTES || memchr(VARDATA_ANY(password), 0, len) != NULL)
		PG_RETURN_NULL();
	bytes = pnstrdup(VARDATA_ANY(password), len);
	ok = lb_bcrypt_raw(bytes, setting, hash);
	lb_wipe(bytes, len);
	if (!ok)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(hash));
}
