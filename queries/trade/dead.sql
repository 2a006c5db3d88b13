-- What could not be done, for a person to look at. Arrays: $1 kind, $2 user, $3 subject, $4 reason
insert into jobs_dead (kind, user_id, subject_id, reason)
select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
