package pg

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// maxName is what PostgreSQL keeps of a name (NAMEDATALEN less one), bytes.
const maxName = 63

// CheckNode refuses names of nodes that application_name would change, cut, or
// that mean something else in synchronous_standby_names.
func CheckNode(name string) error {
	switch {
	case name == "":
		return errors.New("a node without a name cannot be told from others")
	case len(name) > maxName:
		return fmt.Errorf("the node's name %q has more than %d characters", name, maxName)
	case name == "*":
		return fmt.Errorf("%q is no node's name: it would mean every standby", name)
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("the node's name %q has other than printable ASCII characters", name)
		}
	}
	return nil
}

// slotPrefix marks the replication slots of ours.
const slotPrefix = "pgbaton_"

// SlotName is the name of the physical replication slot for a node. PostgreSQL
// takes lower case letters, digits and _ up to 63; a name that does not fit
// gets a hash, so that two nodes never share one.
func SlotName(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return -1
	}, name)
	if plain == name && len(slotPrefix+name) <= maxName {
		return slotPrefix + name
	}
	sum := sha256.Sum256([]byte(strings.ToLower(name)))
	hash := "_" + hex.EncodeToString(sum[:5])
	plain = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	return slotPrefix + plain[:min(len(plain), maxName-len(slotPrefix)-len(hash))] + hash
}

// SlotOwner is the name by which the node of a slot of ours may be called where
// nobody knows it: SlotName of it is that slot.
func SlotOwner(slot string) string { return strings.TrimPrefix(slot, slotPrefix) }
