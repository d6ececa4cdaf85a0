-- bench.cpu(): nanoseconds of processor time of this backend; wall-clock time where the kernel does not tell. Machines that
-- others use too change their speed by the minute: processor time of alternating rounds is what can be compared.
-- The kernel adds up at its ticks and when a process gives way: a short sleep makes it add up now.
create schema if not exists bench;
create or replace function bench.cpu() returns float8 language plpgsql security definer as $$
begin
  perform pg_sleep(0.0001);
  return split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8;
exception when others then
  return extract(epoch from clock_timestamp()) * 1e9;
end $$;
grant usage on schema bench to public;
