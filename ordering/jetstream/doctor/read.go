package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// ServersSubject is where nodes tell of the servers that are embedded in them. The
// answer is a Server in JSON.
const ServersSubject = "lockstep.$node.server"

// Patience with servers: for the first that answers, and for the next one after each.
const (
	streamAnswer = 2 * time.Second // of the log's leader: while there is none, nobody answers
	firstAnswer  = 2 * time.Second
	nextAnswer   = 300 * time.Millisecond
	maxServers   = 1024
)

// Read asks for the settings of a machine's log. system is a connection in the servers' system account;
// without it, what servers tell of themselves is asked of the nodes that they
// are embedded in. A log that does not exist is ordering.ErrNotFound.
func Read(ctx context.Context, conn, system *nats.Conn, ref jetstream.Ref) (Settings, error) {
	s := Settings{Ref: ref}
	if err := ref.Validate(); err != nil {
		return s, err
	}
	js, err := njs.New(conn)
	if err != nil {
		return s, fmt.Errorf("read settings of %s: %w", ref, err)
	}
	stream, err := readStream(ctx, js, ref.StreamName())
	if errors.Is(err, njs.ErrStreamNotFound) {
		return s, fmt.Errorf("read settings of %s: %w", ref, ordering.ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("read settings of %s: %w", ref, err)
	}
	in := stream.CachedInfo()
	s.Stream, s.State, s.Cluster = in.Config, in.State, in.Cluster
	try, cancel := context.WithTimeout(ctx, streamAnswer)
	defer cancel()
	if account, err := js.AccountInfo(try); err == nil {
		s.Account = *account
	} // else it may not be read, and limits nothing that shows here
	if system != nil {
		s.Servers, err = askServers(ctx, system)
	} else {
		s.Servers, err = askNodes(ctx, conn)
	}
	slices.SortFunc(s.Servers, func(a, b Server) int { return strings.Compare(a.Name, b.Name) })
	return s, err
}

// readStream asks for a stream until it is answered. A leader that was just elected is given
// time to hear of the others.
func readStream(ctx context.Context, js njs.JetStream, name string) (njs.Stream, error) {
	for began := time.Now(); ; {
		try, cancel := context.WithTimeout(ctx, streamAnswer)
		stream, err := js.Stream(try, name)
		unanswered := try.Err() != nil && ctx.Err() == nil
		cancel()
		if err != nil && unanswered {
			continue
		}
		if err != nil || stream.CachedInfo().Cluster == nil || !slices.ContainsFunc(stream.CachedInfo().Cluster.Replicas, unheard) ||
			time.Since(began) > streamAnswer {
			return stream, err
		}
		select {
		case <-time.After(nextAnswer):
		case <-ctx.Done():
		}
	}
}

// unheard tells that a log's leader has not heard of a copy since it was elected. For minutes after a
// server was killed that is all that others know.
func unheard(p *njs.PeerInfo) bool { return !p.Current && p.Active == 0 }

// askNodes asks nodes about the servers embedded in them.
func askNodes(ctx context.Context, conn *nats.Conn) (servers []Server, err error) {
	err = gather(ctx, conn, ServersSubject, nil, func(data []byte) error {
		var s Server
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		servers = append(servers, s)
		return nil
	})
	return servers, err
}

// askServers asks the servers themselves.
func askServers(ctx context.Context, system *nats.Conn) ([]Server, error) {
	byID := make(map[string]*Server)
	var order []*Server
	err := gather(ctx, system, "$SYS.REQ.SERVER.PING.JSZ", []byte(`{"config":true}`), func(data []byte) error {
		s, id, err := parseJSZ(data)
		if err == nil && byID[id] == nil {
			byID[id] = s
			order = append(order, s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = gather(ctx, system, "$SYS.REQ.SERVER.PING.VARZ", nil, func(data []byte) error {
		var v struct {
			Server struct {
				ID string `json:"id"`
			} `json:"server"`
			Data struct {
				MaxPayload int64  `json:"max_payload"`
				Host       string `json:"host"`
			} `json:"data"`
		}
		if err := json.Unmarshal(data, &v); err != nil {
			return err
		}
		if s := byID[v.Server.ID]; s != nil {
			s.MaxPayload, s.Host = v.Data.MaxPayload, v.Data.Host
			s.DiskFree = diskFree(s.Host, s.StoreDir)
		}
		return nil
	})
	servers := make([]Server, len(order))
	for i, s := range order {
		servers[i] = *s
	}
	return servers, err
}

// parseJSZ reads what one server says of its JetStream.
func parseJSZ(data []byte) (s *Server, id string, err error) {
	var v struct {
		Server struct {
			ID      string `json:"id"`
			Name    string `json:"name"`
			Version string `json:"ver"`
		} `json:"server"`
		Data struct {
			Used     uint64 `json:"storage"`
			Reserved uint64 `json:"reserved_storage"`
			Config   struct {
				MaxStore     int64         `json:"max_storage"`
				StoreDir     string        `json:"store_dir"`
				SyncInterval time.Duration `json:"sync_interval"`
				SyncAlways   bool          `json:"sync_always"`
				Strict       bool          `json:"strict"`
				UniqueTag    string        `json:"unique_tag"`
			} `json:"config"`
			Meta *struct {
				Leader   string         `json:"leader"`
				Replicas []njs.PeerInfo `json:"replicas"`
				Size     int            `json:"cluster_size"`
			} `json:"meta_cluster"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, "", err
	}
	d := v.Data
	s = &Server{
		Name: v.Server.Name, Version: v.Server.Version, SyncAlways: d.Config.SyncAlways, SyncInterval: d.Config.SyncInterval,
		Strict: d.Config.Strict, UniqueTag: d.Config.UniqueTag, MaxStore: d.Config.MaxStore, Reserved: d.Reserved, Used: d.Used,
		StoreDir: d.Config.StoreDir, DiskFree: -1,
	}
	if d.Meta != nil && d.Meta.Leader == s.Name {
		s.Peers = d.Meta.Size
		for _, p := range d.Meta.Replicas {
			if p.Offline {
				if s.Offline == nil {
					s.Offline = make(map[string]time.Duration)
				}
				s.Offline[p.Name] = p.Active
			}
		}
	}
	return s, v.Server.ID, nil
}

// gather sends a request that many answer. That nobody does is no error.
func gather(ctx context.Context, conn *nats.Conn, subject string, request []byte, take func([]byte) error) error {
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("subscribe to answers: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	if err := conn.PublishRequest(subject, inbox, request); err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	patience := firstAnswer
	for range maxServers {
		try, cancel := context.WithTimeout(ctx, patience)
		m, err := sub.NextMsgWithContext(try)
		cancel()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("ask %s: %w", subject, context.Cause(ctx))
		case err != nil: // silence, or nobody there to answer
			return nil
		case len(m.Data) == 0:
			continue
		}
		if err := take(m.Data); err != nil {
			return fmt.Errorf("ask %s: parse answer: %w", subject, err)
		}
		patience = nextAnswer
	}
	return nil
}

// Serve answers for the server that is embedded in this process.
func Serve(conn *nats.Conn, settings func() (Server, error)) (*nats.Subscription, error) {
	sub, err := conn.Subscribe(ServersSubject, func(m *nats.Msg) {
		s, err := settings()
		if err != nil {
			return // whoever asks learns from the others, or that it is not known
		}
		data, err := json.Marshal(s)
		if err == nil {
			_ = m.Respond(data) // whoever misses it asks again
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", ServersSubject, err)
	}
	return sub, nil
}
