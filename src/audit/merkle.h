/*-------------------------------------------------------------------------
 *
 * merkle.h
 *		The canonical leaf of an audit row and the tree over the leaves.
 *
 * IDENTIFICATION
 *	  src/audit/merkle.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_MERKLE_H
#define LABOS_MERKLE_H

#include "port/pg_bswap.h"
#include "utils/uuid.h"

#define LB_HASH_LEN		32
#define LB_TILE_WIDTH	256
#define LB_TREE_HEIGHT	64

/* A row of the log. */
typedef struct AuditEntry
{
	int64		xid;
	int64		ts;				/* microseconds since 2000-01-01 UTC */
	int64		ctx;
	int32		n;
	int32		tab;
	int16		gen;
	char		op;
	bool		has_rec;
	bool		has_org;
	bool		has_actor;
	pg_uuid_t	rec;			/* zeros when absent */
	pg_uuid_t	org;
	pg_uuid_t	actor;
	const char *reason;			/* NULL when absent */
	int			reason_len;
	const char *payload;		/* NULL when absent */
	int			payload_len;
} AuditEntry;

/* Roots of the perfect subtrees of a tree of "size" leaves: node[h] has 2^h. */
typedef struct MerkleTree
{
	uint64		size;
	uint8		node[LB_TREE_HEIGHT][LB_HASH_LEN];
} MerkleTree;

/* Called for each hash that belongs into a tile: leaves are level 0. */
typedef void (*MerkleEmit) (void *arg, int level, uint64 index, const uint8 *hash);

extern void lb_audit_sha256(const uint8 *data, size_t len, uint8 *out);
extern void lb_audit_leaf_hash(const AuditEntry *entry, uint8 *out);

extern void lb_merkle_append(MerkleTree *tree, const uint8 *leaf, MerkleEmit emit, void *arg);
extern void lb_merkle_root(const MerkleTree *tree, uint8 *out);

/* The frontier as bytes, largest subtree first; returns its length. */
extern int	lb_merkle_pack(const MerkleTree *tree, uint8 *out);
extern bool lb_merkle_unpack(MerkleTree *tree, uint64 size, const uint8 *bytes, int len);

/* Big-endian writers for hash inputs. */
static inline uint8 *
lb_put16(uint8 *at, uint16 value)
{
	value = pg_hton16(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8 *
lb_put32(uint8 *at, uint32 value)
{
	value = pg_hton32(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8 *
lb_put64(uint8 *at, uint64 value)
{
	value = pg_hton64(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

#endif							/* LABOS_MERKLE_H */
