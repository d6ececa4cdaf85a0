/*-------------------------------------------------------------------------
 *
 * qr_code.c
 *		QR codes (ISO/IEC 18004) as SVG.
 *
 * libzint computes the modules; the drawing is ours: one path of horizontal
 * runs, so that a viewer shows no seams, and nothing in it but numbers.  Of
 * libzint only the encoder is called: it opens no file.
 *
 * IDENTIFICATION
 *	  src/identity/qr_code.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zint.h>

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "core/errors.h"

#define QR_MAX_BYTES	2331	/* version 40 at error correction level M */
#define QR_QUIET_ZONE	4		/* modules, as the standard wants */
#define QR_LEVEL_M		2		/* 15 % may be unreadable */
#define ECI_UTF8		26

/* Is the module at column x black?  Zint keeps eight to a byte, the first lowest. */
static bool
is_black(const struct zint_symbol *symbol, int row, int x)
{
	return (symbol->encoded_data[row][x / 8] >> (x % 8)) & 1;
}

/* A rectangle for each run of black modules in a row. */
static void
append_row(StringInfo svg, const struct zint_symbol *symbol, int row)
{
	int			x = 0;

	while (x < symbol->width)
	{
		int			start = x;

		while (x < symbol->width && is_black(symbol, row, x))
			x++;
		if (x > start)
			appendStringInfo(svg, "M%d %dh%dv1h-%dz", start + QR_QUIET_ZONE,
							 row + QR_QUIET_ZONE, x - start, x - start);
		else
			x++;
	}
}

/* Encodes; zint's memory is given back whatever happens, before anything is raised. */
static int
encode(const char *text, int len, struct zint_symbol *copy)
{
	struct zint_symbol *symbol = ZBarcode_Create();
	bool		ascii = true;
	int			error;

	if (symbol == NULL)
		return ZINT_ERROR_MEMORY;
	for (int i = 0; i < len; i++)
		ascii = ascii && (unsigned char) text[i] < 0x80;
	symbol->symbology = BARCODE_QRCODE;
	symbol->option_1 = QR_LEVEL_M;
	symbol->input_mode = UNICODE_MODE;
	symbol->eci = ascii ? 0 : ECI_UTF8;
	error = ZBarcode_Encode(symbol, (const unsigned char *) text, len);
	memcpy(copy, symbol, sizeof(*copy));
	ZBarcode_Delete(symbol);
	return error;
}

/*
 * labos.qr_svg(content text) returns text
 *		A QR code of the text, error correction level M, as an SVG image of one
 *		unit a module.
 *
 * Errors:	PT400 too_long (more than 2331 bytes), invalid_content (empty, or
 *			not UTF-8); 53200 no memory
 * Cost:	about a millisecond
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_qr_svg);

Datum
labos_qr_svg(PG_FUNCTION_ARGS)
{
	text	   *content = PG_GETARG_TEXT_PP(0);
	int			len = VARSIZE_ANY_EXHDR(content);
	struct zint_symbol *symbol;
	StringInfoData svg;
	int			error;
	int			size;

	if (len > QR_MAX_BYTES)
		lb_refuse(400, "too_long", "\"max_bytes\": 2331", "Shorten the text.",
				  "text is too long for a QR code");
	if (len == 0)
		lb_refuse(400, "invalid_content", NULL, NULL, "text for a QR code is empty");
	/* Everything that may fail is allocated before zint allocates. */
	initStringInfo(&svg);
	symbol = palloc(sizeof(*symbol));
	error = encode(VARDATA_ANY(content), len, symbol);
	if (error == ZINT_ERROR_MEMORY)
		ereport(ERROR,
				errcode(ERRCODE_OUT_OF_MEMORY),
				errmsg("could not allocate memory for a QR code"));
	if (error == ZINT_ERROR_TOO_LONG)
		lb_refuse(400, "too_long", NULL, "Shorten the text.",
				  "text is too long for a QR code");
	if (error >= ZINT_ERROR)
		lb_refuse(400, "invalid_content", NULL, NULL,
				  "text cannot be written as a QR code");

	size = symbol->width + 2 * QR_QUIET_ZONE;
	appendStringInfo(&svg,
					 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
					 "shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"QR code\">"
					 "<path fill=\"#fff\" d=\"M0 0h%dv%dh-%dz\"/><path d=\"",
					 size, size, size, size, size);
	for (int row = 0; row < symbol->rows; row++)
		append_row(&svg, symbol, row);
	appendStringInfoString(&svg, "\"/></svg>");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(svg.data, svg.len));
}
