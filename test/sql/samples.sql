-- Samples: codes, states, places, custody, search, and who may what.
\set VERBOSITY terse
select test.become('tess');
set role lab_user;
insert into lab.locations (kind, code, name) values ('room', 'S-ROOM', 'Room');
insert into lab.locations (kind, code, name, parent_id, grid_rows, grid_columns) select 'box', 'S-BOX', 'Box', id, 2, 2 from lab.locations where code = 'S-ROOM';
insert into lab.locations (kind, code, name, parent_id, grid_rows, grid_columns) select 'box', 'S-BIG', 'Big box', id, 30, 12 from lab.locations where code = 'S-ROOM';
insert into lab.locations (kind, code, name, parent_id) select 'position', 'S-PEG', 'Peg', id from lab.locations where code = 'S-ROOM';
reset role;
select test.become('sam');
set role lab_user;

-- A sample without a barcode gets a checked code from its organisation's counter.
insert into lab.samples (name, formula, lot_code, quantity, quantity_unit, hazards, metadata)
  values ('Sample 1', 'CsPbI3', 'LOT-7', 12.5, 'mg', '{GHS06,H301,P301+P310}', '{"batch": 1}'),
         ('Sample 2', 'CuSO4·5H2O', 'LOT-7', null, null, '{}', '{}'),
         ('Sample 3', 'GaN', null, 0, 'mg', '{}', '{}');
select barcode, labos.labcode_valid(barcode) as checked, name, formula, quantity, quantity_unit, status, owner_id = test.id_of('sam') as owned, version from lab.samples order by barcode;
-- Each organisation counts for itself.
reset role;
select test.become('bea');
set role lab_user;
insert into lab.samples (name) values ('Beta sample') returning barcode;
-- Nothing of the other organisation is seen, not by id, barcode or search; nor can it be pointed at.
select count(*) as seen from lab.samples;
select count(*) as seen from lab.sample_history;
select test.error_of($$insert into lab.samples (name, location_id) select 'x', id from lab_data.locations$$), count(*) from lab.locations;
reset role;
select id as box from lab_data.locations where code = 'S-BOX' \gset
set role lab_user;
select test.error_of(format($$insert into lab.samples (name, location_id) values ('x', %L)$$, :'box'));
reset role;
select test.become('sam');
set role lab_user;
-- A barcode of one's own is kept; one of our shape must have its check character; one names one live sample.
insert into lab.samples (name, barcode) values ('Vendor', ' SIGMA-12/345 ') returning barcode;
select test.error_of($$insert into lab.samples (name, barcode) values ('x', 'S-000001-A')$$) as misread,
       test.error_of($$insert into lab.samples (name, barcode) select 'x', barcode from lab.samples where name = 'Sample 1'$$) as taken;
-- The counter steps over a code that somebody has brought along.
insert into lab.samples (name, barcode) values ('Brought', labos.labcode_make('S', 4));
insert into lab.samples (name) values ('Sample 5') returning barcode;
-- Search by elements, with the search path of the API roles; formulas are compared by composition.
set search_path to lab, labos_ops, labos, pg_catalog;
select name from lab.samples where formula @> '{Ga,N}';
select name from lab.samples where formula = 'NGa';
reset search_path;

-- States.
update lab.samples set status = 'available', change_reason = 'checked in' where name = 'Sample 1';
update lab.samples set status = 'in_use' where name = 'Sample 1';
select status, change_reason from lab.samples where name = 'Sample 1';
select what, test.error_of(format('update lab.samples set status = %L where name = %L', what, 'Sample 1')) from unnest('{registered,gone,""}'::text[]) what;
select what, test.error_of(format('insert into lab.samples (name, status) values (%L, %L)', 'x', what)) from unnest('{in_use,consumed,disposed}'::text[]) what;

-- Places: the first free position of a grid, a wanted one, a taken one, one that is not there, a full box.
update lab.samples set location_id = (select id from lab.locations where code = 'S-BOX') where name = 'Sample 1' returning position;
update lab.samples set location_id = (select id from lab.locations where code = 'S-BOX'), position = ' b02 ' where name = 'Sample 2' returning position;
select what, test.error_of(format('update lab.samples set location_id = (select id from lab.locations where code = %L), position = %L where name = %L', 'S-BOX', what, 'Sample 3'))
from unnest('{A1,C1,A3,A0,1A,AAAA1,A99999999999}'::text[]) what;
insert into lab.samples (name, location_id) select 'Sample 6', id from lab.locations where code = 'S-BOX' returning position;
insert into lab.samples (name, location_id) select 'Sample 7', id from lab.locations where code = 'S-BOX' returning position;
select test.error_of($$insert into lab.samples (name, location_id) select 'x', id from lab.locations where code = 'S-BOX'$$) as full_box;
insert into lab.samples (name, location_id, position) select 'Sample 8', id, 'AD12' from lab.locations where code = 'S-BIG' returning position;
-- A position of the tree holds one container.
insert into lab.samples (name, location_id) select 'Sample 9', id from lab.locations where code = 'S-PEG' returning position;
select test.error_of($$insert into lab.samples (name, location_id) select 'x', id from lab.locations where code = 'S-PEG'$$);
-- A grid that is in use does not shrink below what stands in it.
reset role;
select test.become('tess');
set role lab_user;
select test.error_of($$update lab.locations set grid_rows = 1 where code = 'S-BOX'$$), test.error_of($$update lab.locations set grid_rows = 4 where code = 'S-BOX'$$);

-- A technician moves and edits nothing; the owner hands over.
select test.error_of($$update lab.samples set name = 'x'$$), (select count(*) from lab.samples where name = 'x') as changed;
select status, position from lab.sample_transfer((select id from lab.samples where name = 'Sample 1'), location_id => (select id from lab.locations where code = 'S-ROOM'), reason => 'measurement');
reset role;
select test.become('sam');
set role lab_user;
select transfer_to_id = test.id_of('sue') as offered, owner_id = test.id_of('sam') as still_sams
from lab.sample_transfer((select id from lab.samples where name = 'Sample 1'), to_user_id => test.id_of('sue'), reason => 'for Raman');
reset role;
select test.become('tess');
set role lab_user;
select test.error_of($$select lab.sample_accept((select id from lab.samples where name = 'Sample 1'))$$) as not_hers;
select test.error_of($$select lab.sample_transfer((select id from lab.samples where name = 'Sample 1'), to_user_id => test.id_of('bob'))$$) as foreigner,
       test.error_of($$select lab.sample_transfer((select id from lab.samples where name = 'Sample 1'))$$) as nowhere,
       test.error_of($$select lab.sample_transfer(gen_random_uuid(), to_user_id => test.id_of('sue'))$$) as unknown;
select status from lab.sample_status_set((select id from lab.samples where name = 'Sample 1'), 'available', 'done');
reset role;
select test.become('sue');
set role lab_user;
select owner_id = test.id_of('sue') as hers, transfer_to_id from lab.sample_accept((select id from lab.samples where name = 'Sample 1'));
select test.error_of($$select lab.sample_accept((select id from lab.samples where name = 'Sample 1'))$$) as nothing_offered;
select transfer_to_id = test.id_of('sam') as offered_back from lab.sample_transfer((select id from lab.samples where name = 'Sample 1'), to_user_id => test.id_of('sam'));
select transfer_to_id, owner_id = test.id_of('sue') as hers from lab.sample_accept((select id from lab.samples where name = 'Sample 1'), accept => false, reason => 'mistake');
update lab.samples set status = 'consumed' where name = 'Sample 1';
select test.error_of($$update lab.samples set status = 'available' where name = 'Sample 1'$$);
-- A disposed sample stands nowhere and cannot be put anywhere.
update lab.samples set status = 'disposed' where name = 'Sample 2' returning location_id, position;
select test.error_of($$update lab.samples set location_id = (select id from lab.locations where code = 'S-ROOM') where name = 'Sample 2'$$);
-- The chain of custody holds it all, in order, and ends where the sample is.
select c.event, c.from_status, c.to_status, f.code as from_location, c.from_position, t.code as to_location, c.to_position,
       a.username as from_owner, b.username as to_owner, c.reason, u.username as actor
from lab.sample_custody((select id from lab.samples where name = 'Sample 1')) c
left join lab.locations f on f.id = c.from_location_id left join lab.locations t on t.id = c.to_location_id
left join lab.users a on a.id = c.from_owner_id left join lab.users b on b.id = c.to_owner_id left join lab.users u on u.id = c.actor_id;
select test.error_of($$select lab.sample_custody(gen_random_uuid())$$), test.error_of($$select lab.sample_custody(null)$$);
-- Nobody writes it by hand: not a member, not an admin, not the owner of the tables.
select test.error_of($$insert into lab.sample_history (sample_id, event) select id, 'moved' from lab.samples$$), test.error_of($$update lab.sample_history set reason = 'x'$$),
       test.error_of($$delete from lab.sample_history$$);
reset role;
set role lab_owner;
select test.error_of($$insert into lab_data.sample_history (org_id, sample_id, event) select org_id, id, 'moved' from lab_data.samples$$) as by_owner,
       test.error_of($$update lab_data.sample_history set reason = 'x'$$) as change, test.error_of($$delete from lab_data.sample_history$$) as removal;
reset role;
select count(*) filter (where h.event is null) as samples_without_history, count(*) filter (where s.status <> h.to_status) as wrong_status
from lab_data.samples s
left join lateral (select h.event, h.to_status from lab_data.sample_history h where h.sample_id = s.id and h.to_status is not null order by h.id desc limit 1) h on true;

-- Deleting: a manager's right; the barcode and the place are free again; restore brings it back where it was.
select test.become('sam');
set role lab_user;
select test.error_of($$delete from lab.samples where name = 'Sample 6'$$);
reset role;
select test.become('mary');
set role lab_user;
delete from lab.samples where name = 'Sample 6';
select count(*) from lab.samples where name = 'Sample 6';
select record ->> 'name' as name from lab.trash('sample');
select lab.restore('sample', id) ->> 'position' as position from lab.trash('sample');
select string_agg(event, ' ' order by id) as events from lab.sample_history where sample_id = (select id from lab.samples where name = 'Sample 6');
-- Or not, when its place has been taken.
delete from lab.samples where name = 'Sample 6';
insert into lab.samples (name, location_id, position) select 'Squatter', id, 'A2' from lab.locations where code = 'S-BOX' returning position;
select test.error_of($$select lab.restore('sample', id) from lab.trash('sample')$$);

-- Bad input.
select what, test.error_of(statement) from (values
  (1, 'negative amount', $$insert into lab.samples (name, quantity, quantity_unit) values ('x', -1, 'mg')$$),
  (2, 'NaN', $$insert into lab.samples (name, quantity, quantity_unit) values ('x', 'NaN', 'mg')$$),
  (3, 'infinity', $$insert into lab.samples (name, quantity, quantity_unit) values ('x', 'Infinity', 'mg')$$),
  (4, 'no unit', $$insert into lab.samples (name, quantity) values ('x', 1)$$),
  (5, 'unit alone', $$insert into lab.samples (name, quantity_unit) values ('x', 'mg')$$),
  (6, 'blank unit', $$insert into lab.samples (name, quantity, quantity_unit) values ('x', 1, ' ')$$),
  (7, 'no formula', $$insert into lab.samples (name, formula) values ('x', 'Xx2')$$),
  (8, 'no name', $$insert into lab.samples (formula) values ('H2O')$$),
  (9, 'a hazard of its own', $$insert into lab.samples (name, hazards) values ('x', '{dangerous}')$$),
  (10, 'a null hazard', $$insert into lab.samples (name, hazards) values ('x', '{null}')$$),
  (11, 'metadata null', $$insert into lab.samples (name, metadata) values ('x', 'null')$$),
  (12, 'huge barcode', $$insert into lab.samples (name, barcode) values ('x', repeat('x', 81))$$),
  (13, 'barcode with a line break', $$insert into lab.samples (name, barcode) values ('x', E'a\nb')$$),
  (14, 'unknown project', $$insert into lab.samples (name, project_id) values ('x', gen_random_uuid())$$),
  (15, 'unknown owner', $$insert into lab.samples (name, owner_id) values ('x', test.id_of('bea'))$$),
  (16, 'another organisation', $$insert into lab.samples (org_id, name) values (test.org_of('bea'), 'x')$$),
  (17, 'offered at birth', $$insert into lab.samples (name, transfer_to_id) values ('x', test.id_of('sue'))$$),
  (18, 'infinite date', $$insert into lab.samples (name, expires_on) values ('x', 'infinity')$$)
) v (n, what, statement) order by n;
-- A viewer reads; nobody does not.
reset role;
select test.become('vic');
set role lab_user;
select count(*) > 0 as reads from lab.samples;
select test.error_of($$insert into lab.samples (name) values ('x')$$), test.error_of($$select lab.sample_transfer((select min(id::text)::uuid from lab.samples), test.id_of('vic'))$$);
reset role;
select test.become(null);
set role lab_user;
select count(*) from lab.samples;
select test.error_of($$insert into lab.samples (name) values ('x')$$), test.error_of($$select lab.sample_custody(gen_random_uuid())$$);
reset role;

-- A page of the newest, a barcode, the custody of a sample: index conditions with the organisation, no sort.
insert into lab_data.samples (org_id, name, formula, lot_code)
select test.org_of(case when i % 2 = 0 then 'bea' else 'sam' end), 'bulk', 'SiO2', i::text from generate_series(1, 3000) i;
analyze lab_data.samples, lab_data.sample_history;
select test.become('bea');
set role lab_user;
set search_path to lab, labos_ops, labos, pg_catalog;
set enable_seqscan to off;
explain (costs off) select * from samples order by id desc limit 50;
explain (costs off) select * from samples where barcode = 'S-000002-1';
explain (costs off) select * from sample_history where sample_id = '01900000-0000-7000-8000-000000000000' order by id;
reset enable_seqscan;
reset search_path;
reset role;
select test.become(null);
