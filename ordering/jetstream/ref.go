package jetstream

import (
	"fmt"
	"strconv"

	"lockstep/ordering"
)

// Ref says which log: that of one machine in one epoch.
type Ref struct {
	Machine ordering.Name
	Epoch   ordering.Epoch
}

// Validate says what is wrong with the reference.
func (r Ref) Validate() error {
	if err := r.Machine.Validate(); err != nil {
		return err
	}
	if r.Epoch == 0 {
		return fmt.Errorf("machine %s: epoch is 0, the first is 1", r.Machine)
	}
	return nil
}

// StreamName is LOCKSTEP_<machine>_<epoch>.
func (r Ref) StreamName() string {
	return r.prefix() + r.epoch()
}

func (r Ref) prefix() string { return "LOCKSTEP_" + string(r.Machine) + "_" }

// InputSubject is lockstep.<machine>.in.<epoch>.input. What is published there is an
// entry, but for control inputs: those ask nothing.
func (r Ref) InputSubject() string { return r.entries("input") }

// ControlSubject is lockstep.<machine>.in.<epoch>.control, for control inputs. Who may
// publish there decides what the machine is.
func (r Ref) ControlSubject() string { return r.entries("control") }

// subjectOf is the subject that an entry is published to.
func (r Ref) subjectOf(data []byte) string {
	if ordering.IsControl(data) {
		return r.ControlSubject()
	}
	return r.InputSubject()
}

// carries tells whether what is published to a subject is an entry of the log.
func (r Ref) carries(subject string) bool {
	return subject == r.InputSubject() || subject == r.ControlSubject() || r.isSeed(subject)
}

// entry is what a message that was published to a subject is in the log: a seed is the entry that it
// carries, and a control input among other inputs is one that asks nothing.
func (r Ref) entry(subject string, e ordering.Entry) ordering.Entry {
	switch {
	case r.isSeed(subject):
		return r.unseed(e)
	case subject == r.InputSubject() && ordering.IsControl(e.Data):
		e.Data = nil
	}
	return e
}

func (r Ref) entries(kind string) string {
	return "lockstep." + string(r.Machine) + ".in." + r.epoch() + "." + kind
}

// RepublishSubject is lockstep.<machine>.log.<epoch>, where the stream's leader
// repeats each entry after commit. No client and no replica may be permitted to
// publish here: what appears is believed to come from the server.
func (r Ref) RepublishSubject() string {
	return "lockstep." + string(r.Machine) + ".log." + r.epoch()
}

func (r Ref) epoch() string { return strconv.FormatUint(uint64(r.Epoch), 10) }

func (r Ref) String() string { return string(r.Machine) + "/" + r.epoch() }
