package client

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// asker sends questions that several replicas may answer, over one subscription
// for all. An answer is judged as it comes, so that none waits and no replica can
// fill the room of another's.
type asker struct {
	conn  *nats.Conn
	inbox string // replies go to inbox + token
	sub   *nats.Subscription

	mu    sync.Mutex
	waits map[string]*wait
	next  uint64
}

// wait is one question that was asked.
type wait struct {
	enough chan struct{} // closed once the answers suffice

	mu   sync.Mutex
	over bool
	take func(data []byte) bool // reports that the answers suffice
}

// Bounds of the messages that wait to be judged.
const (
	maxUnjudged      = 8192
	maxUnjudgedBytes = 64 << 20
)

func newAsker(conn *nats.Conn) (*asker, error) {
	a := &asker{conn: conn, inbox: conn.NewInbox() + ".", waits: make(map[string]*wait)}
	sub, err := conn.Subscribe(a.inbox+"*", func(m *nats.Msg) { a.receive(m.Subject, m.Data) })
	if err == nil {
		err = sub.SetPendingLimits(maxUnjudged, maxUnjudgedBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	a.sub = sub
	return a, nil
}

func (a *asker) receive(subject string, data []byte) {
	a.mu.Lock()
	w := a.waits[strings.TrimPrefix(subject, a.inbox)]
	a.mu.Unlock()
	if w == nil {
		return // nobody waits any more
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over && w.take(data) {
		w.over = true
		close(w.enough)
	}
}

// ask sends a question. take is called with each answer until it reports that they
// are enough, which closes enough, or until done, which ends the wait: after it
// take is not called again.
func (a *asker) ask(subject string, question []byte, take func(data []byte) bool) (enough <-chan struct{}, done func(), err error) {
	w := &wait{enough: make(chan struct{}), take: take}
	a.mu.Lock()
	a.next++
	token := strconv.FormatUint(a.next, 36)
	a.waits[token] = w
	a.mu.Unlock()
	done = func() {
		a.mu.Lock()
		delete(a.waits, token)
		a.mu.Unlock()
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
	}
	if err := a.conn.PublishRequest(subject, a.inbox+token, question); err != nil {
		done()
		return nil, nil, fmt.Errorf("publish question: %w", err)
	}
	return w.enough, done, nil
}
