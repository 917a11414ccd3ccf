package host

import (
	"errors"
	"fmt"

	"lockstep/audit"
	"lockstep/ordering"
)

// arrival is the guest that a DEPLOY or UPGRADE brings, loaded before the
// entry changes anything, or the reason why it is refused.
type arrival struct {
	module  audit.Digest
	config  Config
	members audit.Members // DEPLOY only
	origin  *system       // of the checkpoint that a DEPLOY names
	guest   Guest         // nil if refused, or once adopted
	refusal Receipt
}

// arrive loads the guest that a control input names; it returns nil for one
// that names none, or that will be refused for the state the machine is in.
// Its error is the world's: this replica does not have the module.
//
// A module is loaded only where a majority of voters has stated, signed, that
// it holds it. So an upgrade to a module that nobody has is refused by all,
// and one that this replica lacks can be had from the others.
func (m *Machine) arrive(c Control, seq ordering.Seq) (*arrival, error) {
	a := &arrival{config: m.config, members: m.members}
	var holders []audit.Holding
	var deploy Deploy
	var err error
	switch {
	case c.Kind == ControlDeploy && !m.deployed:
		deploy, err = m.arriveDeploy(a, c, seq)
		holders = deploy.Holders
	case c.Kind == ControlUpgrade && m.deployed:
		var body Upgrade
		err = UpgradeFormat.Decode(c.Body, &body)
		a.module, holders = body.Module, body.Holders
	default:
		return nil, nil
	}
	if err != nil {
		a.refusal = refused(0, RefusedMalformed, err.Error())
		return a, nil
	}
	what, why, of := a.module, RefusedModule, "module"
	if deploy.Checkpoint != (audit.Digest{}) {
		what, why, of = deploy.Checkpoint, RefusedCheckpoint, "checkpoint"
	}
	if n := held(m.machine, what, a.members, holders); n < a.members.Majority() {
		a.refusal = refused(0, why, fmt.Sprintf("%s is held by %d of %d voters, want %d", of, n, a.members.Voters(), a.members.Majority()))
		return a, nil
	}
	if deploy.Checkpoint != (audit.Digest{}) {
		return a, m.inherit(a, deploy)
	}
	guest, err := m.load(a.module, a.config)
	if errors.Is(err, ErrModuleRefused) {
		a.refusal = refused(0, RefusedModule, err.Error())
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load module %v: %w", a.module, err)
	}
	a.guest = guest
	return a, nil
}

func (m *Machine) arriveDeploy(a *arrival, c Control, seq ordering.Seq) (Deploy, error) {
	var body Deploy
	if err := DeployFormat.Decode(c.Body, &body); err != nil {
		return body, err
	}
	if body.Machine != m.machine {
		return body, fmt.Errorf("deploy is for machine %q, this is %q", body.Machine, m.machine)
	}
	a.module, a.config = body.Module, body.Config.Resolve(m.profile)
	if err := a.config.Validate(m.profile); err != nil {
		return body, err
	}
	var err error
	a.members, err = found(body.Members, a.config, seq)
	return body, err
}

// held counts the voters that have stated to hold a module, or a checkpoint by
// its root.
func held(machine string, module audit.Digest, members audit.Members, holders []audit.Holding) int {
	if len(holders) > maxMembers {
		return 0
	}
	counted := make(map[audit.ReplicaID]bool)
	for i := range holders {
		h := &holders[i]
		key, voter := members.Voter(h.Replica)
		if voter && h.Machine == machine && h.Module == module && h.Verify(key) == nil {
			counted[h.Replica] = true
		}
	}
	return len(counted)
}

// leave frees the guest if it was not adopted.
func (a *arrival) leave() {
	if a != nil && a.guest != nil {
		closeGuest(a.guest)
	}
}

// closeGuest frees a guest's memory. That cannot fail but for a mistake of
// ours, such as closing twice.
func closeGuest(g Guest) {
	if err := g.Close(); err != nil {
		panic(fmt.Sprintf("close guest: %v", err))
	}
}
