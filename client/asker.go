package client

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// asker sends questions that several replicas may answer, over one subscription
// for all: a reply that comes when nobody waits for it any more is dropped.
type asker struct {
	conn  *nats.Conn
	inbox string // replies go to inbox + token
	sub   *nats.Subscription

	mu    sync.Mutex
	waits map[string]chan []byte
	next  uint64
}

// maxAnswers bounds the answers to one question that wait to be looked at.
const maxAnswers = 64

func newAsker(conn *nats.Conn) (*asker, error) {
	a := &asker{conn: conn, inbox: conn.NewInbox() + ".", waits: make(map[string]chan []byte)}
	sub, err := conn.Subscribe(a.inbox+"*", a.receive)
	if err != nil {
		return nil, fmt.Errorf("subscribe to answers: %w", err)
	}
	a.sub = sub
	return a, nil
}

func (a *asker) receive(m *nats.Msg) {
	token := strings.TrimPrefix(m.Subject, a.inbox)
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case a.waits[token] <- m.Data: // a nil channel takes nothing
	default:
	}
}

// ask sends a question. done ends the wait for its answers.
func (a *asker) ask(subject string, question []byte) (answers <-chan []byte, done func(), err error) {
	out := make(chan []byte, maxAnswers)
	a.mu.Lock()
	a.next++
	token := strconv.FormatUint(a.next, 36)
	a.waits[token] = out
	a.mu.Unlock()
	done = func() {
		a.mu.Lock()
		delete(a.waits, token)
		a.mu.Unlock()
	}
	if err := a.conn.PublishRequest(subject, a.inbox+token, question); err != nil {
		done()
		return nil, nil, fmt.Errorf("publish question: %w", err)
	}
	return out, done, nil
}
