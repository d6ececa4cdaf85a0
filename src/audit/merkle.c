/*-------------------------------------------------------------------------
 *
 * merkle.c
 *		The canonical leaf of an audit row and the tree over the leaves.
 *
 * The tree is that of RFC 6962, section 2.1: leaf = SHA-256(0x00 || data),
 * node = SHA-256(0x01 || left || right).  What is stored is what is hashed:
 * all integers big-endian, text as its bytes with a length before it, so that
 * a hash does not depend on the machine, its locale or the server's version.
 *
 * A kernel: no SPI, no catalog, no settings.
 *
 * IDENTIFICATION
 *	  src/audit/merkle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "audit/merkle.h"

#define LEAF_VERSION	1
#define LEAF_HEADER		89		/* bytes before the reason's */
#define SMALL_LEAF		1024	/* up to here one buffer, one call */

/* One context for the life of the backend: making one costs more than a hash. */
static EVP_MD_CTX *sha_ctx = NULL;
static EVP_MD *sha_md = NULL;

static void
sha_begin(void)
{
	if (sha_ctx == NULL)
	{
		sha_md = EVP_MD_fetch(NULL, "SHA256", NULL);
		sha_ctx = EVP_MD_CTX_new();
		if (sha_md == NULL || sha_ctx == NULL)
		{
			EVP_MD_CTX_free(sha_ctx);
			sha_ctx = NULL;
			elog(ERROR, "could not initialize SHA-256");
		}
		if (EVP_DigestInit_ex(sha_ctx, sha_md, NULL) != 1)
			elog(ERROR, "could not initialize SHA-256");
	}
	else if (EVP_DigestInit_ex(sha_ctx, NULL, NULL) != 1)
		elog(ERROR, "could not initialize SHA-256");
}

static void
sha_add(const void *data, size_t len)
{
	if (EVP_DigestUpdate(sha_ctx, data, len) != 1)
		elog(ERROR, "could not compute SHA-256");
}

static void
sha_end(uint8 *out)
{
	if (EVP_DigestFinal_ex(sha_ctx, out, NULL) != 1)
		elog(ERROR, "could not compute SHA-256");
}

void
lb_audit_sha256(const uint8 *data, size_t len, uint8 *out)
{
	sha_begin();
	sha_add(data, len);
	sha_end(out);
}

static uint8 *
put_uuid(uint8 *at, const pg_uuid_t *uuid)
{
	memcpy(at, uuid->data, UUID_LEN);
	return at + UUID_LEN;
}

/*
 * SHA-256(0x00 || version u8 || gen u16 || xid u64 || n u32 || ts i64 ||
 * tab u32 || op u8 || rec || org || actor || ctx u64 ||
 * len32(reason) || reason || len32(payload) || payload);
 * an absent text has length 0xFFFFFFFF, an absent uuid is sixteen zeros.
 */
void
lb_audit_leaf_hash(const AuditEntry *entry, uint8 *out)
{
	uint8		small[SMALL_LEAF];
	uint8		tail[4];
	uint8	   *at = small;
	int			reason_len = entry->reason ? entry->reason_len : 0;
	int			payload_len = entry->payload ? entry->payload_len : 0;

	*at++ = 0x00;
	*at++ = LEAF_VERSION;
	at = lb_put16(at, entry->gen);
	at = lb_put64(at, entry->xid);
	at = lb_put32(at, entry->n);
	at = lb_put64(at, entry->ts);
	at = lb_put32(at, entry->tab);
	*at++ = entry->op;
	at = put_uuid(at, &entry->rec);
	at = put_uuid(at, &entry->org);
	at = put_uuid(at, &entry->actor);
	at = lb_put64(at, entry->ctx);
	at = lb_put32(at, entry->reason ? (uint32) reason_len : 0xFFFFFFFF);
	Assert(at - small == LEAF_HEADER);
	lb_put32(tail, entry->payload ? (uint32) payload_len : 0xFFFFFFFF);

	if ((Size) reason_len + payload_len + LEAF_HEADER + 4 <= SMALL_LEAF)
	{
		if (reason_len > 0)
			memcpy(at, entry->reason, reason_len);
		at += reason_len;
		memcpy(at, tail, 4);
		at += 4;
		if (payload_len > 0)
			memcpy(at, entry->payload, payload_len);
		at += payload_len;
		lb_audit_sha256(small, at - small, out);
		return;
	}

	sha_begin();
	sha_add(small, LEAF_HEADER);
	if (reason_len > 0)
		sha_add(entry->reason, reason_len);
	sha_add(tail, 4);
	if (payload_len > 0)
		sha_add(entry->payload, payload_len);
	sha_end(out);
}

static void
hash_node(const uint8 *left, const uint8 *right, uint8 *out)
{
	uint8		data[1 + 2 * LB_HASH_LEN];

	data[0] = 0x01;
	memcpy(data + 1, left, LB_HASH_LEN);
	memcpy(data + 1 + LB_HASH_LEN, right, LB_HASH_LEN);
	lb_audit_sha256(data, sizeof(data), out);
}

void
lb_merkle_append(MerkleTree *tree, const uint8 *leaf, MerkleEmit emit, void *arg)
{
	uint64		index = tree->size;
	uint8		hash[LB_HASH_LEN];
	int			height = 0;

	memcpy(hash, leaf, LB_HASH_LEN);
	if (emit)
		emit(arg, 0, index, hash);
	/* Like a carry in binary addition. */
	while (index & 1)
	{
		hash_node(tree->node[height], hash, hash);
		height++;
		index >>= 1;
		if (emit && height % 8 == 0)
			emit(arg, height / 8, index, hash);
	}
	memcpy(tree->node[height], hash, LB_HASH_LEN);
	tree->size++;
}

void
lb_merkle_root(const MerkleTree *tree, uint8 *out)
{
	bool		started = false;

	if (tree->size == 0)
	{
		lb_audit_sha256((const uint8 *) "", 0, out);
		return;
	}
	for (int height = 0; height < LB_TREE_HEIGHT; height++)
	{
		if (!(tree->size >> height & 1))
			continue;
		if (started)
			hash_node(tree->node[height], out, out);
		else
			memcpy(out, tree->node[height], LB_HASH_LEN);
		started = true;
	}
}

int
lb_merkle_pack(const MerkleTree *tree, uint8 *out)
{
	uint8	   *at = out;

	for (int height = LB_TREE_HEIGHT - 1; height >= 0; height--)
		if (tree->size >> height & 1)
		{
			memcpy(at, tree->node[height], LB_HASH_LEN);
			at += LB_HASH_LEN;
		}
	return at - out;
}

bool
lb_merkle_unpack(MerkleTree *tree, uint64 size, const uint8 *bytes, int len)
{
	int			at = 0;

	memset(tree, 0, sizeof(*tree));
	tree->size = size;
	for (int height = LB_TREE_HEIGHT - 1; height >= 0; height--)
		if (size >> height & 1)
		{
			if (at + LB_HASH_LEN > len)
				return false;
			memcpy(tree->node[height], bytes + at, LB_HASH_LEN);
			at += LB_HASH_LEN;
		}
	return at == len;
}
