/*-------------------------------------------------------------------------
 *
 * claims_json.c
 *		Reads sub, org_id, sid, exp and iat from a JSON object.
 *
 * Runs inside a setting's check hook, where raising would break a connection:
 * it uses PostgreSQL's own JSON lexer with semantic actions, which reports
 * errors by return value.  A member that we use and that appears twice makes
 * the text useless: readers differ about which one counts.
 *
 * IDENTIFICATION
 *	  src/identity/claims_json.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"

#include "compat.h"
#include "identity/claims_json.h"

#define MAX_CLAIMS_LENGTH	65536
#define MAX_CLAIMS_DEPTH	32	/* the parser recurses: stop before it must raise */

typedef enum ClaimField
{
	CLAIM_NONE = 0,
	CLAIM_SUB = 1,
	CLAIM_ORG = 2,
	CLAIM_SID = 4,
	CLAIM_EXP = 8,
	CLAIM_IAT = 16
} ClaimField;

typedef struct ClaimsReader
{
	LbClaims   *claims;
	int			depth;			/* nesting of objects and arrays */
	bool		is_object;
	ClaimField	field;			/* the member whose value comes next */
	int			seen;			/* set of ClaimField */
	bool		bad;
} ClaimsReader;

static bool
parse_uuid(const char *text, pg_uuid_t *uuid)
{
	int			n = 0;

	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++)
	{
		char		c = text[i];
		int			digit;

		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (c != '-')
				return false;
			continue;
		}
		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			digit = c - 'A' + 10;
		else
			return false;
		if (n % 2 == 0)
			uuid->data[n / 2] = digit << 4;
		else
			uuid->data[n / 2] |= digit;
		n++;
	}
	return true;
}

/* RFC 7519 NumericDate: a JSON number from 1970 to 9999. */
static bool
parse_date(const char *text, int64 *seconds)
{
	double		value = strtod(text, NULL);

	if (!isfinite(value) || value < 0 || value > 253402300799.0)
		return false;
	*seconds = (int64) value;
	return true;
}

static ClaimField
field_of(const char *name)
{
	if (strcmp(name, "sub") == 0)
		return CLAIM_SUB;
	if (strcmp(name, "org_id") == 0)
		return CLAIM_ORG;
	if (strcmp(name, "sid") == 0)
		return CLAIM_SID;
	if (strcmp(name, "exp") == 0)
		return CLAIM_EXP;
	if (strcmp(name, "iat") == 0)
		return CLAIM_IAT;
	return CLAIM_NONE;
}

static LbJsonResult
claims_object_start(void *state)
{
	ClaimsReader *reader = state;

	if (reader->depth == 0)
		reader->is_object = true;
	else if (reader->depth == 1 && reader->field != CLAIM_NONE)
		reader->bad = true;		/* a claim of ours that is an object */
	reader->depth++;
	LB_JSON_RETURN;
}

static LbJsonResult
claims_object_end(void *state)
{
	((ClaimsReader *) state)->depth--;
	LB_JSON_RETURN;
}

static LbJsonResult
claims_array_start(void *state)
{
	ClaimsReader *reader = state;

	if (reader->depth == 1 && reader->field != CLAIM_NONE)
		reader->bad = true;
	reader->depth++;
	LB_JSON_RETURN;
}

static LbJsonResult
claims_array_end(void *state)
{
	((ClaimsReader *) state)->depth--;
	LB_JSON_RETURN;
}

static LbJsonResult
claims_field_start(void *state, char *name, bool isnull)
{
	ClaimsReader *reader = state;

	if (reader->depth != 1)
		LB_JSON_RETURN;
	reader->field = field_of(name);
	if (reader->field != CLAIM_NONE)
	{
		if (reader->seen & reader->field)
			reader->bad = true;
		reader->seen |= reader->field;
	}
	LB_JSON_RETURN;
}

static LbJsonResult
claims_scalar(void *state, char *token, JsonTokenType type)
{
	ClaimsReader *reader = state;
	LbClaims   *claims = reader->claims;
	bool		ok = true;

	if (reader->depth != 1 || reader->field == CLAIM_NONE || type == JSON_TOKEN_NULL)
		LB_JSON_RETURN;

	switch (reader->field)
	{
		case CLAIM_SUB:
			ok = claims->has_user = type == JSON_TOKEN_STRING && parse_uuid(token, &claims->user);
			break;
		case CLAIM_ORG:
			ok = claims->has_org = type == JSON_TOKEN_STRING && parse_uuid(token, &claims->org);
			break;
		case CLAIM_SID:
			ok = claims->has_session = type == JSON_TOKEN_STRING && parse_uuid(token, &claims->session);
			break;
		case CLAIM_EXP:
			ok = type == JSON_TOKEN_NUMBER && parse_date(token, &claims->expires);
			break;
		case CLAIM_IAT:
			ok = type == JSON_TOKEN_NUMBER && parse_date(token, &claims->issued);
			break;
		case CLAIM_NONE:
			break;
	}
	if (!ok)
		reader->bad = true;
	reader->field = CLAIM_NONE;
	LB_JSON_RETURN;
}

static bool
nested_too_deep(const char *json)
{
	int			depth = 0;
	bool		in_string = false;

	for (const char *p = json; *p != '\0'; p++)
	{
		if (in_string)
		{
			if (*p == '\\' && p[1] != '\0')
				p++;
			else if (*p == '"')
				in_string = false;
		}
		else if (*p == '"')
			in_string = true;
		else if (*p == '{' || *p == '[')
		{
			if (++depth > MAX_CLAIMS_DEPTH)
				return true;
		}
		else if (*p == '}' || *p == ']')
			depth--;
	}
	return false;
}

bool
lb_claims_parse(const char *json, LbClaims *claims)
{
	ClaimsReader reader = {0};
	JsonSemAction actions = {0};
	size_t		length = strlen(json);

	memset(claims, 0, sizeof(LbClaims));
	if (length == 0 || length > MAX_CLAIMS_LENGTH ||
		!pg_verify_mbstr(GetDatabaseEncoding(), json, length, true) ||
		nested_too_deep(json))
		return false;

	reader.claims = claims;
	actions.semstate = &reader;
	actions.object_start = claims_object_start;
	actions.object_end = claims_object_end;
	actions.array_start = claims_array_start;
	actions.array_end = claims_array_end;
	actions.object_field_start = claims_field_start;
	actions.scalar = claims_scalar;

	if (!lb_json_parse(json, length, GetDatabaseEncoding(), &actions))
		return false;
	return reader.is_object && !reader.bad;
}
