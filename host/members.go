package host

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"

	"lockstep/audit"
	"lockstep/ordering"
)

// Bounds of a membership.
const (
	maxMembers     = 31
	maxReplicaName = 64
)

func checkMember(m audit.Member) error {
	if m.ID == "" || len(m.ID) > maxReplicaName {
		return fmt.Errorf("replica name has %d bytes, want 1 to %d", len(m.ID), maxReplicaName)
	}
	if i := strings.IndexFunc(string(m.ID), notNameRune); i >= 0 {
		return fmt.Errorf("replica name %q has a character other than a-z, 0-9, - and _", m.ID)
	}
	if len(m.Key) != ed25519.PublicKeySize {
		return fmt.Errorf("key of replica %s has %d bytes, want %d", m.ID, len(m.Key), ed25519.PublicKeySize)
	}
	return nil
}

func notNameRune(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

// found checks the membership that a deploy names.
func found(list []audit.Member, config Config, seq ordering.Seq) (audit.Members, error) {
	m := audit.Members{Seq: seq, Mode: config.Mode, List: list, Operator: config.Operator}
	if len(list) > maxMembers {
		return m, fmt.Errorf("%d replicas, want at most %d", len(list), maxMembers)
	}
	for i := range list {
		if err := checkMember(list[i]); err != nil {
			return m, err
		}
		if i > 0 && list[i-1].ID >= list[i].ID {
			return m, fmt.Errorf("replicas %s and %s are not in ascending order", list[i-1].ID, list[i].ID)
		}
	}
	if m.Voters() == 0 {
		return m, fmt.Errorf("no replica is a voter")
	}
	return m, nil
}

// join returns the membership with the replica added, or changed from observer
// to voter. A replica's key never changes: a new key is a new replica.
func join(m audit.Members, add audit.Member, seq ordering.Seq) (audit.Members, error) {
	if err := checkMember(add); err != nil {
		return m, err
	}
	list := slices.Clone(m.List)
	i, exists := slices.BinarySearchFunc(list, add.ID, func(m audit.Member, id audit.ReplicaID) int {
		return strings.Compare(string(m.ID), string(id))
	})
	switch {
	case exists && string(list[i].Key) != string(add.Key):
		return m, fmt.Errorf("replica %s is a member with another key", add.ID)
	case exists && list[i].Voter == add.Voter:
		return m, nil // it is so already: a second JOIN changes nothing
	case exists:
		list[i] = add
	case len(list) == maxMembers:
		return m, fmt.Errorf("there are %d replicas already, the most there may be", maxMembers)
	default:
		list = slices.Insert(list, i, add)
	}
	next := changed(m, list, seq)
	if next.Voters() == 0 {
		return m, fmt.Errorf("replica %s is the last voter", add.ID)
	}
	return next, nil
}

// quit returns the membership without the replica.
func quit(m audit.Members, id audit.ReplicaID, seq ordering.Seq) (audit.Members, error) {
	i := slices.IndexFunc(m.List, func(x audit.Member) bool { return x.ID == id })
	if i < 0 {
		return m, fmt.Errorf("replica %s is not a member", id)
	}
	next := changed(m, slices.Delete(slices.Clone(m.List), i, i+1), seq)
	if next.Voters() == 0 {
		return m, fmt.Errorf("replica %s is the last voter", id)
	}
	return next, nil
}

// changed is the membership with another list, made at seq; the rest is as DEPLOY has set it.
func changed(m audit.Members, list []audit.Member, seq ordering.Seq) audit.Members {
	m.List, m.Seq = list, seq
	return m
}
