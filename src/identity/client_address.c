/*-------------------------------------------------------------------------
 *
 * client_address.c
 *		Where a request comes from, as far as that can be believed.
 *
 * X-Forwarded-For is a list that each proxy appends to; what stands left of the
 * entry of the outermost trusted proxy was written by the client.  How many
 * proxies are trusted is identity_settings.trusted_proxies, read once and kept
 * until it changes (its trigger sends the message that rights have changed).
 *
 * IDENTIFICATION
 *	  src/identity/client_address.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"

#include "identity/claims.h"
#include "identity/identity.h"
#include "identity/throttle.h"

#define MAX_ENTRY_LENGTH	64

static void
set_address(LbAddress *address, unsigned char family, const void *bytes)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	memset(address, 0, sizeof(LbAddress));
	if (family == 6 && memcmp(bytes, mapped, sizeof(mapped)) == 0)
	{
		family = 4;
		bytes = (const unsigned char *) bytes + sizeof(mapped);
	}
	address->family = family;
	memcpy(address->bytes, bytes, family == 4 ? 4 : 16);
}

/* "1.2.3.4", "2001:db8::1", and as some proxies write it: "1.2.3.4:80", "[2001:db8::1]:80". */
bool
lb_address_parse(const char *text, size_t length, LbAddress *address)
{
	char		entry[MAX_ENTRY_LENGTH];
	char	   *start = entry;
	char	   *end;
	unsigned char bytes[16];

	while (length > 0 && (*text == ' ' || *text == '\t'))
	{
		text++;
		length--;
	}
	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	if (length == 0 || length >= sizeof(entry) || memchr(text, '\0', length) != NULL)
		return false;
	memcpy(entry, text, length);
	entry[length] = '\0';

	if (entry[0] == '[' && (end = strchr(entry, ']')) != NULL)
	{
		start = entry + 1;
		*end = '\0';
		if (end[1] != '\0' && (end[1] != ':' || strspn(end + 2, "0123456789") != strlen(end + 2)))
			return false;
		if (strchr(start, ':') == NULL)
			return false;
	}
	else if (strchr(entry, '.') != NULL && (end = strchr(entry, ':')) != NULL && end > strchr(entry, '.'))
	{
		if (strspn(end + 1, "0123456789") != strlen(end + 1))
			return false;
		*end = '\0';
	}

	/* These take nothing but an address: no netmask, zone or name. */
	if (inet_pton(AF_INET, start, bytes) == 1)
		set_address(address, 4, bytes);
	else if (inet_pton(AF_INET6, start, bytes) == 1)
		set_address(address, 6, bytes);
	else
		return false;
	return true;
}

Datum
lb_address_inet(const LbAddress *address)
{
	char		text[INET6_ADDRSTRLEN];

	Assert(address->family != 0);
	if (inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->bytes, text, sizeof(text)) == NULL)
		elog(ERROR, "could not format an address");
	return DirectFunctionCall1(inet_in, CStringGetDatum(text));
}

/* The server's own header with the port's address wants libraries that need not be there. */
static bool
peer_address(LbAddress *address)
{
	LOCAL_FCINFO(fcinfo, 0);
	Datum		peer;

	memset(address, 0, sizeof(LbAddress));
	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	peer = inet_client_addr(fcinfo);
	if (fcinfo->isnull)
		return false;
	if (ip_family(DatumGetInetPP(peer)) == PGSQL_AF_INET)
		set_address(address, 4, ip_addr(DatumGetInetPP(peer)));
	else
		set_address(address, 6, ip_addr(DatumGetInetPP(peer)));
	return true;
}

static int
trusted_proxies(void)
{
	static int	known = 0;
	static uint64 known_at = 0; /* rights_changes + 1 */
	uint64		now;
	LbOuterUser outer;
	Oid			owner;
	Oid			schema;
	int			answer = 0;

	(void) lb_identity_current();	/* takes notice of changes */
	now = lb_identity_rights_changes() + 1;
	if (known_at == now)
		return known;

	owner = lb_identity_private_owner();
	schema = get_namespace_oid("lab_private", true);
	if (!OidIsValid(owner) || !OidIsValid(get_relname_relid("identity_settings", schema)))
		return 0;
	lb_identity_begin_as(owner, &outer);
	if (SPI_execute("select trusted_proxies from lab_private.identity_settings", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "settings query failed");
	if (SPI_processed == 1)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		answer = isnull ? 0 : DatumGetInt32(value);
	}
	lb_identity_end_as(&outer);

	/* What this transaction has set itself may be rolled back. */
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()) && !IsInParallelMode())
	{
		known = answer;
		known_at = now;
	}
	return answer;
}

/* The entry that the outermost of n trusted proxies wrote. */
static bool
forwarded_address(int n, LbAddress *address)
{
	char	   *chain = lb_request_header("x-forwarded-for");
	char	   *end;
	char	   *start;
	bool		found;

	if (chain == NULL)
		return false;
	end = chain + strlen(chain);
	for (;;)
	{
		start = end;
		while (start > chain && start[-1] != ',')
			start--;
		if (--n == 0)
			break;
		if (start == chain)
			return false;
		end = start - 1;
	}
	found = lb_address_parse(start, end - start, address);
	pfree(chain);
	return found;
}

bool
lb_client_address(LbAddress *address)
{
	if (lb_identity_from_gateway())
	{
		int			n = trusted_proxies();

		if (n > 0 && forwarded_address(n, address))
			return true;
	}
	return peer_address(address);
}

bool
lb_client_network(LbAddress *network)
{
	if (!lb_identity_from_gateway())
	{
		if (!peer_address(network))
			return false;
	}
	else if (trusted_proxies() == 0)
		return false;
	/* What did not come through a proxy, although it should have, counts together. */
	else if (!lb_client_address(network))
		memset(network, 0, sizeof(LbAddress));
	if (network->family == 6)
		memset(network->bytes + 8, 0, 8);
	return true;
}

/*
 * labos.client_address() returns inet
 *		The client's address: what the outermost trusted proxy wrote into
 *		X-Forwarded-For, else the peer of the connection; null for a local one.
 *
 * SQL:		stable parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_client_address);

Datum
labos_client_address(PG_FUNCTION_ARGS)
{
	LbAddress	address;

	if (!lb_client_address(&address))
		PG_RETURN_NULL();
	return lb_address_inet(&address);
}

/*
 * labos.address_parse(entry text) returns inet
 *		An entry of X-Forwarded-For as an address; null for anything else.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_address_parse);

Datum
labos_address_parse(PG_FUNCTION_ARGS)
{
	text	   *entry = PG_GETARG_TEXT_PP(0);
	LbAddress	address;

	if (!lb_address_parse(VARDATA_ANY(entry), VARSIZE_ANY_EXHDR(entry), &address))
		PG_RETURN_NULL();
	return lb_address_inet(&address);
}
