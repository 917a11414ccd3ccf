package host

// Event is what a guest told whoever subscribes to the machine. Events of an
// entry are in the order in which they were emitted, those of its timers first.
type Event struct {
	_      struct{} `cbor:",toarray"`
	Source EventSource
	Index  int64 // of the input in its entry, or the timer's id; 0 for a control input
	Data   []byte
}

// EventSource says what a guest was doing when it emitted an event.
type EventSource uint8

// The sources. Values are part of the wire format; never renumber.
const (
	EventOfInput   EventSource = 0
	EventOfTimer   EventSource = 1
	EventOfControl EventSource = 2 // lockstep_init or lockstep_load
)

// takeEffects makes what a call that succeeded asked for part of the machine
// and of the transition.
func (m *Machine) takeEffects(t *Transition, o Outcome, source EventSource, index int64) {
	m.timers.set(o.Timers)
	for _, data := range o.Events {
		t.Events = append(t.Events, Event{Source: source, Index: index, Data: data})
		t.eventBytes += eventSize + len(data)
	}
}

// eventSize bounds what is encoded around an event's data.
const eventSize = 24

// eventsFull tells that no other call is to be run in the entry.
func (t *Transition) eventsFull() bool { return t.eventBytes >= maxEntryEvents }
