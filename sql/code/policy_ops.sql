/*
 * Room: schema tools
 *
 * The comparison that policies of owned rows are written with. It is = of uuid
 * under another name. PostgreSQL cannot estimate owner = owner_for(…, owner)
 * and guesses one row in two hundred; it then reads a whole organisation and
 * sorts it, where the newest fifty by the index would do. This one is
 * estimated to hold.
 */

create operator labos.=== (
  function = pg_catalog.uuid_eq, leftarg = uuid, rightarg = uuid,
  commutator = operator(labos.===), restrict = neqsel, join = eqjoinsel);
comment on operator labos.=== (uuid, uuid) is 'equal, and expected to be: for policies';
