-- A page of what changed in transactions that are over for everybody: below the oldest one still running. Always at least
-- one row, for the bound. $1 from this xid, $2 up to this bound (null: the present one), $3 $4 $5 behind this row, $6 how many
select x.bound::text::bigint, c.xid::text::bigint, c.kind, c.subject
from (select coalesce($2::text::xid8, pg_snapshot_xmin(pg_current_snapshot())) as bound) x
left join lateral (
  select * from changes
  where xid >= $1::text::xid8 and xid < x.bound and (xid, kind, subject) > ($3::text::xid8, $4::text, $5::bigint)
  order by xid, kind, subject limit $6::bigint) c on true
