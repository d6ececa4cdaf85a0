/*-------------------------------------------------------------------------
 *
 * canon.c
 *		Column values as canonical JSON, straight from Datums.
 *
 * One value has one text, whatever the session's settings are: numbers as
 * PostgreSQL prints them, times in ISO 8601 and UTC, bytes as hex, jsonb and
 * json as they are, everything else (arrays, ranges, composites, our own
 * types) as the text their type reads back.  A number JSON cannot say (NaN,
 * Infinity) becomes a string.
 *
 * IDENTIFICATION
 *	  src/audit/canon.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "audit/audit.h"

enum
{
	ENC_OUTPUT,					/* the type's output function, as a string */
	ENC_BOOL,
	ENC_INT2,
	ENC_INT4,
	ENC_INT8,
	ENC_FLOAT4,
	ENC_FLOAT8,
	ENC_NUMERIC,
	ENC_TEXT,
	ENC_UUID,
	ENC_JSON,
	ENC_JSONB,
	ENC_DATETIME,
	ENC_BYTEA
};

static int
encoder_of(Oid typid)
{
	switch (typid)
	{
		case BOOLOID:
			return ENC_BOOL;
		case INT2OID:
			return ENC_INT2;
		case INT4OID:
			return ENC_INT4;
		case INT8OID:
			return ENC_INT8;
		case FLOAT4OID:
			return ENC_FLOAT4;
		case FLOAT8OID:
			return ENC_FLOAT8;
		case NUMERICOID:
			return ENC_NUMERIC;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return ENC_TEXT;
		case UUIDOID:
			return ENC_UUID;
		case JSONOID:
			return ENC_JSON;
		case JSONBOID:
			return ENC_JSONB;
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return ENC_DATETIME;
		case BYTEAOID:
			return ENC_BYTEA;
		default:
			return ENC_OUTPUT;
	}
}

/* Appends text as a JSON string; copies runs without special characters. */
void
lb_audit_escape(StringInfo out, const char *text, int len)
{
	int			start = 0;

	appendStringInfoCharMacro(out, '"');
	for (int i = 0; i < len; i++)
	{
		unsigned char c = text[i];
		const char *escape = NULL;
		char		code[8];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		switch (c)
		{
			case '"':
				escape = "\\\"";
				break;
			case '\\':
				escape = "\\\\";
				break;
			case '\b':
				escape = "\\b";
				break;
			case '\f':
				escape = "\\f";
				break;
			case '\n':
				escape = "\\n";
				break;
			case '\r':
				escape = "\\r";
				break;
			case '\t':
				escape = "\\t";
				break;
			default:
				snprintf(code, sizeof(code), "\\u%04x", c);
				escape = code;
		}
		appendBinaryStringInfo(out, text + start, i - start);
		appendStringInfoString(out, escape);
		start = i + 1;
	}
	appendBinaryStringInfo(out, text + start, len - start);
	appendStringInfoCharMacro(out, '"');
}

void
lb_audit_column_init(AuditColumn *column, Form_pg_attribute att)
{
	StringInfoData key;
	Oid			output;
	bool		varlena;

	column->attnum = att->attnum;
	column->typid = getBaseType(att->atttypid);
	column->encoder = encoder_of(column->typid);
	column->byval = att->attbyval;
	column->typlen = att->attlen;
	column->secret = false;
	column->ignore = false;

	initStringInfo(&key);
	lb_audit_escape(&key, NameStr(att->attname), strlen(NameStr(att->attname)));
	appendStringInfoChar(&key, ':');
	column->key = key.data;

	getTypeOutputInfo(column->typid, &output, &varlena);
	fmgr_info_cxt(output, &column->output, CurrentMemoryContext);
}

bool
lb_audit_column_pins(const AuditColumn *column)
{
	return column->encoder == ENC_OUTPUT;
}

/* Number or, for what JSON has no number for, string. */
static void
append_number(StringInfo out, const char *text, bool finite)
{
	if (finite)
		appendStringInfoString(out, text);
	else
	{
		appendStringInfoChar(out, '"');
		appendStringInfoString(out, text);
		appendStringInfoChar(out, '"');
	}
}

static void
append_float8(StringInfo out, float8 value)
{
	char		buffer[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(value, buffer);
	append_number(out, buffer, isfinite(value));
}

static void
append_float4(StringInfo out, float4 value)
{
	char		buffer[FLOAT_SHORTEST_DECIMAL_LEN];

	float_to_shortest_decimal_buf(value, buffer);
	append_number(out, buffer, isfinite(value));
}

static void
append_hex(StringInfo out, const uint8 *bytes, int len)
{
	static const char digits[] = "0123456789abcdef";
	char	   *at;

	enlargeStringInfo(out, 2 * len);
	at = out->data + out->len;
	for (int i = 0; i < len; i++)
	{
		*at++ = digits[bytes[i] >> 4];
		*at++ = digits[bytes[i] & 15];
	}
	*at = '\0';
	out->len += 2 * len;
}

static void
append_uuid(StringInfo out, const pg_uuid_t *uuid)
{
	appendStringInfoCharMacro(out, '"');
	append_hex(out, uuid->data, 4);
	for (int i = 4; i < 10; i += 2)
	{
		appendStringInfoCharMacro(out, '-');
		append_hex(out, uuid->data + i, 2);
	}
	appendStringInfoCharMacro(out, '-');
	append_hex(out, uuid->data + 10, 6);
	appendStringInfoCharMacro(out, '"');
}

/* Values that need more than a line; split from the switch below. */
static void
append_varlena(StringInfo out, AuditColumn *column, Datum value)
{
	struct varlena *bytes;

	if (column->encoder == ENC_JSONB)
	{
		Jsonb	   *jsonb = DatumGetJsonbP(value);

		JsonbToCString(out, &jsonb->root, VARSIZE(jsonb));
		return;
	}
	bytes = PG_DETOAST_DATUM_PACKED(value);
	switch (column->encoder)
	{
		case ENC_TEXT:
			lb_audit_escape(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
			break;
		case ENC_JSON:
			appendBinaryStringInfo(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
			break;
		case ENC_BYTEA:
			appendStringInfoString(out, "\"\\\\x");
			append_hex(out, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
			appendStringInfoCharMacro(out, '"');
			break;
	}
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

void
lb_audit_value_json(StringInfo out, AuditColumn *column, Datum value, bool isnull)
{
	char		buffer[MAXDATELEN + 1];
	char	   *text;
	int			utc = 0;

	if (isnull)
	{
		appendBinaryStringInfo(out, "null", 4);
		return;
	}
	switch (column->encoder)
	{
		case ENC_BOOL:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			break;
		case ENC_INT2:
			appendBinaryStringInfo(out, buffer, pg_ltoa(DatumGetInt16(value), buffer));
			break;
		case ENC_INT4:
			appendBinaryStringInfo(out, buffer, pg_ltoa(DatumGetInt32(value), buffer));
			break;
		case ENC_INT8:
			appendBinaryStringInfo(out, buffer, pg_lltoa(DatumGetInt64(value), buffer));
			break;
		case ENC_FLOAT4:
			append_float4(out, DatumGetFloat4(value));
			break;
		case ENC_FLOAT8:
			append_float8(out, DatumGetFloat8(value));
			break;
		case ENC_NUMERIC:
			text = OutputFunctionCall(&column->output, value);
			append_number(out, text, text[0] != 'N' && text[0] != 'I' && text[1] != 'I');
			break;
		case ENC_UUID:
			append_uuid(out, DatumGetUUIDP(value));
			break;
		case ENC_DATETIME:
			appendStringInfoCharMacro(out, '"');
			appendStringInfoString(out, JsonEncodeDateTime(buffer, value, column->typid, &utc));
			appendStringInfoCharMacro(out, '"');
			break;
		case ENC_OUTPUT:
			text = OutputFunctionCall(&column->output, value);
			lb_audit_escape(out, text, strlen(text));
			break;
		default:
			append_varlena(out, column, value);
	}
}

/* Byte for byte the same?  A toasted value that was not touched is not read. */
bool
lb_audit_same(const AuditColumn *column, Datum a, bool anull, Datum b, bool bnull)
{
	if (anull || bnull)
		return anull && bnull;
	if (column->byval)
		return a == b;
	if (column->typlen == -1)
	{
		struct varlena *x = (struct varlena *) DatumGetPointer(a);
		struct varlena *y = (struct varlena *) DatumGetPointer(b);

		if (VARATT_IS_EXTERNAL_ONDISK(x) && VARATT_IS_EXTERNAL_ONDISK(y) &&
			memcmp(VARDATA_EXTERNAL(x), VARDATA_EXTERNAL(y), sizeof(varatt_external)) == 0)
			return true;
	}
	return datum_image_eq(a, b, column->byval, column->typlen);
}

void
lb_audit_pin(AuditPins *saved)
{
	static pg_tz *utc = NULL;

	if (utc == NULL)
		utc = pg_tzset("GMT");
	saved->date_style = DateStyle;
	saved->date_order = DateOrder;
	saved->interval_style = IntervalStyle;
	saved->extra_float_digits = extra_float_digits;
	saved->bytea_output = bytea_output;
	saved->timezone = session_timezone;

	DateStyle = USE_ISO_DATES;
	DateOrder = DATEORDER_YMD;
	IntervalStyle = INTSTYLE_ISO_8601;
	extra_float_digits = 1;
	bytea_output = BYTEA_OUTPUT_HEX;
	session_timezone = utc;
}

void
lb_audit_unpin(const AuditPins *saved)
{
	DateStyle = saved->date_style;
	DateOrder = saved->date_order;
	IntervalStyle = saved->interval_style;
	extra_float_digits = saved->extra_float_digits;
	bytea_output = saved->bytea_output;
	session_timezone = saved->timezone;
}
