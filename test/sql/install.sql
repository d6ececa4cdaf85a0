-- A newcomer's two statements build everything.
set client_min_messages to warning;
create extension labos cascade;
call labos.deploy();
select library = extension as versions_agree, deployed = extension as deployed, owner, modules, pending from labos.status();
-- A second deployment changes nothing.
call labos.deploy();
select cardinality(pending) as pending from labos.status();
