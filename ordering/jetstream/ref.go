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
	return "LOCKSTEP_" + string(r.Machine) + "_" + r.epoch()
}

// InputSubject is lockstep.<machine>.in.<epoch>. What is published there is an
// entry.
func (r Ref) InputSubject() string {
	return "lockstep." + string(r.Machine) + ".in." + r.epoch()
}

// RepublishSubject is lockstep.<machine>.log.<epoch>, where the stream's leader
// repeats each entry after commit. No client and no replica may be permitted to
// publish here: what appears is believed to come from the server.
func (r Ref) RepublishSubject() string {
	return "lockstep." + string(r.Machine) + ".log." + r.epoch()
}

func (r Ref) epoch() string { return strconv.FormatUint(uint64(r.Epoch), 10) }

func (r Ref) String() string { return string(r.Machine) + "/" + r.epoch() }
