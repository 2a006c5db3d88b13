-- Gives back what is still leased, to be read at once by another. $1 owner
update whales set owner = null, lease_until = null where owner = $1::text
