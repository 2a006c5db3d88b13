-- Forgets changes that every mirror has long followed. $1 below this xid, $2 how many
delete from changes where ctid = any (array(select ctid from changes where xid < $1::text::xid8 order by xid limit $2::bigint))
