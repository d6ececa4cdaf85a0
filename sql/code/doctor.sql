/*
 * Room: doctor
 *
 * What is not safe in this database, and how to mend it. Reads catalogs and
 * settings only; changes nothing. One row a check; the checks are in
 * doctor_server.sql and doctor_schema.sql, a seeded defect for each in
 * test/sql/doctor.sql.
 */

create function labos.doctor()
  returns table (name text, ok boolean, found text, cure text, severity text)
  language plpgsql stable set search_path to pg_catalog, pg_temp
as $$
begin
  return query
  select c.name, c.found is null, c.found, case when c.found is not null then c.cure end, c.severity
  from (select * from labos.doctor_server() union all select * from labos.doctor_schema()) c
  order by c.id;
end
$$;
comment on function labos.doctor() is
$$What is not safe here, and how to mend it

One row a check: ok, what was found, the cure, and how bad it is: critical (somebody could read, forge or lose what they should not) or warning. For superusers and lab_owner with pg_read_all_settings; run it after installation, upgrades and restores.$$;
revoke all on function labos.doctor() from public;
