package upgrade

import (
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// judgeSlots: physical slots are never carried over, logical ones from 17 on,
// and those must be valid and, at the stop, have got everything
// (check_old_cluster_for_valid_slots in check.c).
func judgeSlots(f Facts) []node.Finding {
	var physical, lost, kept, invalid []string
	for _, s := range f.Server.Slots {
		switch {
		case !s.Logical:
			physical = append(physical, s.Name)
		case f.From < 17:
			lost = append(lost, s.Name)
		case s.Invalid:
			invalid = append(invalid, s.Name)
		default:
			kept = append(kept, s.Name)
		}
	}
	var res []node.Finding
	add := func(names []string, n func(names string) node.Finding) {
		if len(names) > 0 {
			res = append(res, n(list(names)))
		}
	}
	add(invalid, func(names string) node.Finding {
		return refuse("slot-invalid", "pg_drop_replication_slot() each of them; their consumers begin anew",
			"logical replication slots have lost their WAL, and pg_upgrade does not carry them over: %s", names)
	})
	add(lost, func(names string) node.Finding {
		return note("slots-lost", "let their consumers read everything before the upgrade; afterwards make the slots again and the consumers begin anew",
			"logical replication slots of PostgreSQL %d do not survive an upgrade: %s", f.From, names)
	})
	add(kept, func(names string) node.Finding {
		return note("slots-kept", "their consumers must be connected when the server is stopped, so that they get everything; else the upgrade is undone",
			"logical replication slots are carried over: %s", names)
	})
	add(physical, func(names string) node.Finding {
		return note("physical-slots-lost", "make the standbys anew after the upgrade, and the slots with them",
			"physical replication slots do not survive an upgrade, nor do the standbys that use them: %s", names)
	})
	return res
}

// judgeSubscriptions: from 17 on pg_upgrade carries over which tables are
// subscribed and how far the subscription came; before that neither, and the
// subscription is disabled (dumpSubscription in pg_dump.c).
func judgeSubscriptions(f Facts) []node.Finding {
	if len(f.Server.Subscriptions) == 0 {
		return nil
	}
	names := func(of []pg.Subscription) string {
		return list(namesOf(of, func(s pg.Subscription) string { return ident(s.Name) + " in " + ident(s.Database) }))
	}
	if f.From >= 17 {
		return []node.Finding{note("subscriptions-kept", "", "subscriptions are carried over and go on after the upgrade: %s", names(f.Server.Subscriptions))}
	}
	var enabled []pg.Subscription
	for _, s := range f.Server.Subscriptions {
		if s.Enabled {
			enabled = append(enabled, s)
		}
	}
	if len(enabled) > 0 {
		// What was applied and not yet confirmed to the publisher would come
		// a second time: how far it came is forgotten here.
		return []node.Finding{refuse("subscriptions-enabled",
			"let them catch up, then ALTER SUBSCRIPTION … DISABLE, so that the publisher's slot knows how far they came, and ask for the upgrade again",
			"subscriptions of PostgreSQL %d lose in an upgrade how far they came, and are enabled: %s", f.From, names(enabled))}
	}
	return []node.Finding{note("subscriptions-forget",
		"after the upgrade: ALTER SUBSCRIPTION … SET (slot_name = 'not_yet'), else changes of tables that it does not know yet are skipped; "+
			"ENABLE; REFRESH PUBLICATION WITH (copy_data = false); SET (slot_name = '…') to its own again",
		"subscriptions of PostgreSQL %d come out of an upgrade disabled and without their list of tables: %s", f.From, names(f.Server.Subscriptions))}
}

func judgeEventTriggers(f Facts) []node.Finding {
	var names []string
	for _, d := range f.Server.Databases {
		for _, t := range d.EventTriggers {
			names = append(names, t+" in "+ident(d.Name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []node.Finding{note("event-triggers", "",
		"event triggers are carried over; they do not see the upgrade itself, but they see updates of extensions after it: %s", list(names))}
}
