// Package client calls a replicated machine and believes only what a majority
// of its voters says.
//
//	c, err := client.Connect(ctx, client.Options{URLs: urls, Machine: "kv"})
//	out, err := c.Call(ctx, input)                        // changes the state
//	out, err = c.Query(ctx, input, client.Linearizable)   // reads it
//	s, err := c.Subscribe(ctx, 0)                         // hears what the guest emits
//
// A machine is one guest, a WebAssembly module, that several replicas run alike. Its
// inputs go through a log, which gives each a place, its seq; each replica applies the log
// and signs what came out, and the client gives out what a majority has signed.
//
//	what          goes through the log   answered by
//	Call          yes                    a majority, with a certificate (Output.Certificate)
//	Voted         no                     a majority, at one seq
//	Linearizable  no                     one replica; that it is not behind, by a majority
//	Stale         no                     one replica, from what it has
//	Subscribe     no                     a majority, each event once and in order
//
// # Errors
//
// A typed error is an answer too: *RejectedError, *TrapError, ErrOutOfGas and
// *RefusedError are what a majority states, and say that nothing of the input was kept
// (but for host.RefusedTooLate and host.RefusedSessionExpired: those do not know any
// more). An error of type *FailError is the one that leaves the outcome open: its Fate says what
// is known. *PermissionError, ErrBusy and host.ErrInputTooLarge say that nothing was sent.
//
// # Once
//
// Every input has a number within the client's session, so that a retry, which
// the client makes by itself until the context ends, is applied once. A session outlives
// the client if it is kept: see Options.Save and Client.Resumed.
//
// # Throughput
//
// Concurrent callers share entries of the log: a call that finds the client
// idle goes out at once, and while entries are under way the others gather
// into the next one. So one Client for a process is best, used by all of its goroutines.
// Concurrent queries share questions to the replicas likewise.
//
// # Limits
//
// Inputs and outputs have at most 512 KiB (wasmabi.MaxInput, MaxOutput). At most 65,536 calls,
// and 256 MiB of them, wait to be sent, and as many queries of each mode.
package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// Options say which machine to call and where. Machine and one of Conn and
// URLs are required.
type Options struct {
	Machine string
	URLs    []string        // of NATS servers; the client makes and owns a connection
	Login   jetstream.Login // with URLs: who the client is to the servers; the zero value is nobody in particular
	// Conn is used instead of URLs; the caller owns it. Its error handler is wrapped,
	// since that is how servers say what they do not permit. Of a user whose permissions name its inboxes, as
	// lockstep init has it, the connection is made with jetstream.Nkey.
	Conn *nats.Conn
	// Retry is how long an input may be unanswered before it is sent again;
	// 0 is DefaultRetry.
	Retry time.Duration
	// Window is the number of entries that may be under way at once; 0 is
	// DefaultWindow. More means smaller entries.
	Window int
	// Members, if given, is a membership that is trusted to begin with. Without,
	// the client believes what a majority of the replicas that a membership names
	// says of it, which is safe against faults and not against liars.
	Members *audit.Members
	// Session is what Client.Session of a client before has exported, to go on as
	// that client: a call that was open is made once, in whichever life.
	Session []byte
	// Save, if given, is called with the session before an entry is sent, and not
	// concurrently: what has it survives a crash of the client's process. An error
	// ends the calls that were to be sent.
	Save func(session []byte) error
	// OpenLog, if given, opens what orders entries in an epoch instead of the machine's
	// log in JetStream. The client closes it.
	OpenLog func(ordering.Epoch) (Log, error)
	Logger  *slog.Logger // nil: none
}

// Log is what the client needs of a machine's log; see jetstream.Appender.
type Log interface {
	Append(ctx context.Context, data []byte) (ordering.Seq, error)
	// AppendAsync is Append that does not wait: done is told what came of it, once.
	AppendAsync(data []byte, done func(ordering.Seq, error)) error
	Close() error
}

// Defaults of Options.
const (
	DefaultRetry  = 750 * time.Millisecond
	DefaultWindow = 4
)

// connectTimeout bounds Connect where its context does not.
const connectTimeout = 10 * time.Second

// Client is one session with one machine. It is safe for concurrent use.
type Client struct {
	opts    Options
	conn    *nats.Conn
	ownConn bool
	denials *denials
	asker   *asker
	outputs *nats.Subscription
	session host.Session

	run  context.Context // ends with Close
	stop context.CancelFunc
	done sync.WaitGroup
	wake chan struct{}

	key     ed25519.PrivateKey // of the session
	resumed []*Pending
	known   atomic.Bool // a membership is

	judge  sync.Mutex // guards filter; taken without mu
	filter *filter

	mu         sync.Mutex
	log        Log
	epoch      ordering.Epoch // whose log it is
	finding    bool           // the epoch is being asked for
	members    audit.Members  // the newest that is trusted
	calls      map[uint64]*Pending
	queue      []*Pending // not sent yet, ascending by number
	queued     int        // bytes of the queue
	flights    map[*flight]struct{}
	open       int    // calls of flights, without a result
	next       uint64 // number of the next call
	floor      uint64 // lowest number of an open call, or next
	learning   bool
	asking     bool // whether the machine is deployed
	reads      [modes]reads
	responders responders
	closed     bool
}

// Connect opens a session. It returns ErrUnknownMachine if no node hosts the
// machine, and works against one that is hosted and not deployed yet.
func Connect(ctx context.Context, opts Options) (*Client, error) {
	if opts.Retry == 0 {
		opts.Retry = DefaultRetry
	}
	if opts.Window == 0 {
		opts.Window = DefaultWindow
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		opts: opts, conn: opts.Conn, wake: make(chan struct{}, 1),
		calls: make(map[uint64]*Pending), flights: make(map[*flight]struct{}), denials: new(denials),
	}
	c.run, c.stop = context.WithCancel(context.Background())
	if err := c.connect(ctx); err != nil {
		c.stop()
		return nil, errors.Join(err, c.disconnect())
	}
	c.done.Add(1)
	go c.send(c.run)
	c.poke() // for what was resumed
	return c, nil
}

func (c *Client) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if c.conn == nil {
		login, err := c.opts.Login.Options()
		if err != nil {
			return err
		}
		options := append(jetstream.ConnOptions("lockstep client of "+c.opts.Machine, c.opts.Logger), login...)
		conn, err := nats.Connect(strings.Join(c.opts.URLs, ","), options...)
		if err != nil {
			return fmt.Errorf("connect to NATS: %w", err)
		}
		c.conn, c.ownConn = conn, true
	}
	c.denials.hear(c.conn)
	if inbox := c.conn.NewRespInbox(); !protocol.IsInbox(inbox) {
		return fmt.Errorf("the connection's inboxes are like %s, and replicas answer to _INBOX.> alone: make it with jetstream.Nkey, or an inbox prefix that begins so", inbox)
	}
	if err := ordering.Name(c.opts.Machine).Validate(); err != nil {
		return err
	}
	if err := c.conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	if err := c.openSession(); err != nil {
		return err
	}
	c.filter = newFilter(c.session.Client)
	for _, p := range c.resumed {
		if p.control != nil {
			c.found(p.control)
		}
	}
	c.responders.turn = int(c.session.Client[0]) // clients begin with different ones
	if c.opts.Members != nil {
		c.trust(*c.opts.Members)
	}
	infos, err := c.Infos(ctx)
	if err != nil {
		return err
	}
	c.learn(infos)
	if c.opts.Session == nil {
		c.session.Opened = reached(infos, c.members)
	}
	epoch, ok := epochOf(infos, c.members)
	if !ok { // it is asked for again when inputs stay unanswered
		epoch = protocol.EpochOf(protocol.OfVoters(infos, c.members))
	}
	if err := c.turnTo(epoch); err != nil {
		return err
	}
	if c.asker, err = newAsker(c.conn); err != nil {
		return err
	}
	c.outputs, err = c.conn.Subscribe(host.OutputSubject(c.opts.Machine, c.session.Client), func(m *nats.Msg) { c.receive(m.Data) })
	if err != nil {
		return fmt.Errorf("subscribe to outputs: %w", err)
	}
	// The subscription must be known before the first input is ordered.
	if err := c.conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush connection: %w", err)
	}
	return c.subscribed()
}

func (o Options) openLog(conn *nats.Conn, ref jetstream.Ref) (Log, error) {
	if o.OpenLog != nil {
		return o.OpenLog(ref.Epoch)
	}
	log, err := jetstream.NewAppender(conn, ref)
	if err != nil {
		return nil, err
	}
	return log, nil
}

// Close ends the session. Calls under way get ErrClosed in a *FailError.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	for _, p := range c.calls {
		c.finish(p, Output{}, p.fail(ErrClosed))
	}
	c.mu.Unlock()
	c.stop()
	c.done.Wait()
	return c.disconnect()
}

func (c *Client) disconnect() error {
	c.denials.close()
	var errs []error
	if c.outputs != nil && c.conn.IsConnected() {
		errs = append(errs, c.outputs.Unsubscribe())
	}
	if c.asker != nil && c.conn.IsConnected() {
		errs = append(errs, c.asker.sub.Unsubscribe())
	}
	if log := c.appender(); log != nil {
		errs = append(errs, log.Close())
	}
	if c.ownConn {
		c.conn.Close()
	}
	return errors.Join(errs...)
}
