/*-------------------------------------------------------------------------
 *
 * errors.c
 *		Refusals with a HTTP status and a machine-readable DETAIL.
 *
 * IDENTIFICATION
 *	  src/core/errors.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "core/errors.h"

int
lb_http_sqlstate(int status)
{
	Assert(status >= 400 && status <= 599);

	return MAKE_SQLSTATE('P', 'T', '0' + status / 100,
						 '0' + status / 10 % 10, '0' + status % 10);
}

void
lb_refuse(int status, const char *code, const char *extra,
		  const char *hint, const char *fmt,...)
{
	StringInfoData message;
	StringInfoData detail;

	initStringInfo(&message);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&message, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"code\": ");
	escape_json(&detail, code);
	if (extra != NULL && extra[0] != '\0')
		appendStringInfo(&detail, ", %s", extra);
	appendStringInfoChar(&detail, '}');

	ereport(ERROR,
			errcode(lb_http_sqlstate(status)),
			errmsg_internal("%s", message.data),
			errdetail_internal("%s", detail.data),
			hint ? errhint("%s", hint) : 0);
	pg_unreachable();
}
