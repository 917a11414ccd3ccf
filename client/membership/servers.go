package membership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	njs "github.com/nats-io/nats.go/jetstream"

	"lockstep/ordering/jetstream"
)

// pingWait is how long servers are waited for that have not answered yet.
const pingWait = 250 * time.Millisecond

// follow has the log's copies follow the membership, and waits until they do. JetStream picks where a copy goes.
func (c *Cluster) follow(ctx context.Context, leaver string) error {
	if !c.Embedded {
		return nil
	}
	js, err := njs.New(c.Conn)
	if err != nil {
		return err
	}
	var last action // what is on its way is not told again
	return c.poll(ctx, "the log's servers to follow the membership", func(ctx context.Context) (bool, error) {
		members, err := c.Client.Members(ctx)
		if err != nil {
			return false, err
		}
		var voters []string
		for i := range members.List {
			if members.List[i].Voter {
				voters = append(voters, string(members.List[i].ID))
			}
		}
		ref, err := c.ref(ctx)
		if err != nil {
			return false, err
		}
		have, err := read(ctx, js, ref)
		if err != nil {
			return false, err
		}
		servers := c.running(ctx, have)
		next := plan(voters, have, servers, leaver)
		news := next != last
		last = next
		switch {
		case next == action{} && have.settled(servers):
			return true, nil
		case next == action{}:
			return false, errors.New("copies of the log are on their way")
		case next.remove != "":
			if news {
				c.step("moving the log's copy away from server %s", next.remove)
			}
			return false, c.moveAway(ctx, ref, next, have)
		}
		if news {
			c.step("keeping the log on %d servers", next.replicas)
		}
		return false, setReplicas(ctx, js, ref, next.replicas)
	})
}

// read asks for the log's copies.
func read(ctx context.Context, js njs.JetStream, ref jetstream.Ref) (copies, error) {
	s, err := js.Stream(ctx, ref.StreamName())
	if err != nil {
		return copies{}, fmt.Errorf("ask for the copies of %s: %w", ref, err)
	}
	return copiesOf(s.CachedInfo())
}

// errNoLeader passes: servers elect.
var errNoLeader = errors.New("the log has no leader just now, so that nobody knows where its copies are")

func copiesOf(in *njs.StreamInfo) (copies, error) {
	have := copies{replicas: in.Config.Replicas}
	if in.Cluster == nil {
		return have, nil
	}
	if in.Cluster.Leader == "" {
		return copies{}, errNoLeader
	}
	have.keepers = append(have.keepers, in.Cluster.Leader)
	for _, p := range in.Cluster.Replicas {
		have.keepers = append(have.keepers, p.Name)
		if !p.Current {
			have.behind = append(have.behind, p.Name)
		}
	}
	return have, nil
}

// running are the servers that answer; those that keep copies, if they cannot be asked.
func (c *Cluster) running(ctx context.Context, have copies) []string {
	if c.System == nil {
		return c.nodeServers(ctx, have)
	}
	names, err := ping(ctx, c.System)
	if err != nil || len(names) == 0 {
		return have.keepers
	}
	return names
}

// nodeServers are the servers named after replicas that answer.
func (c *Cluster) nodeServers(ctx context.Context, have copies) []string {
	infos, err := c.Client.Infos(ctx)
	if err != nil {
		return have.keepers
	}
	var names []string
	for i := range infos {
		names = append(names, string(infos[i].Replica))
	}
	return names
}

// ping asks the servers who they are.
func ping(ctx context.Context, system *nats.Conn) (names []string, err error) {
	inbox := system.NewRespInbox()
	sub, err := system.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only with the connection
	if err := system.PublishRequest("$SYS.REQ.SERVER.PING", inbox, nil); err != nil {
		return nil, err
	}
	for {
		try, cancel := context.WithTimeout(ctx, pingWait)
		m, err := sub.NextMsgWithContext(try)
		cancel()
		if err != nil {
			return names, ctx.Err()
		}
		var v struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
		}
		if json.Unmarshal(m.Data, &v) == nil && v.Server.Name != "" && !slices.Contains(names, v.Server.Name) {
			names = append(names, v.Server.Name)
		}
	}
}

// setReplicas changes the number of copies, and nothing else.
func setReplicas(ctx context.Context, js njs.JetStream, ref jetstream.Ref, n int) error {
	s, err := js.Stream(ctx, ref.StreamName())
	if err != nil {
		return fmt.Errorf("keep %s on %d servers: %w", ref, n, err)
	}
	config := s.CachedInfo().Config
	config.Replicas = n
	if _, err := js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("keep %s on %d servers: %w", ref, n, err)
	}
	return nil
}

// moveAway has another server keep the copy that one keeps. One that leads hands over first,
// so that nobody waits for an election; one that runs keeps its copy until the other has it.
func (c *Cluster) moveAway(ctx context.Context, ref jetstream.Ref, a action, have copies) error {
	if have.keepers[0] == a.remove && len(have.keepers) > 1 {
		if err := request(ctx, c.Conn, "$JS.API.STREAM.LEADER.STEPDOWN."+ref.StreamName(), struct{}{}); err != nil {
			return fmt.Errorf("have %s hand over: %w", a.remove, err)
		}
		return nil // the next look finds another leader
	}
	how := "EVACUATE"
	if a.gone {
		how = "REMOVE"
	}
	err := request(ctx, c.Conn, "$JS.API.STREAM.PEER."+how+"."+ref.StreamName(), map[string]string{"peer": a.remove})
	if err != nil {
		return fmt.Errorf("move the copy of %s away from %s: %w", ref, a.remove, err)
	}
	return nil
}

// codeNotMember is JetStream's code for a server that is in no group.
const codeNotMember = 10044

// Forget removes a server that is gone for ever from those whose majority elects. It is
// ErrRuns while the server answers.
func (c *Cluster) Forget(ctx context.Context, server string) error {
	if !c.Embedded {
		return nil
	}
	if c.System == nil {
		return fmt.Errorf("forget server %s: that needs a login to the servers' system account", server)
	}
	return c.poll(ctx, fmt.Sprintf("the servers to forget %s", server), func(ctx context.Context) (bool, error) {
		names, err := ping(ctx, c.System)
		if err != nil {
			return false, err
		}
		if slices.Contains(names, server) {
			return true, fmt.Errorf("forget server %s: %w", server, ErrRuns)
		}
		c.step("forgetting server %s", server)
		err = request(ctx, c.System, "$JS.API.SERVER.REMOVE", map[string]string{"peer": server})
		if failed := new(apiError); errors.As(err, &failed) && failed.Code == codeNotMember {
			return true, nil // it was never one, or is none any more
		}
		if err != nil {
			return false, fmt.Errorf("forget server %s: %w", server, err)
		}
		return true, nil
	})
}

// apiError is what JetStream answers.
type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.Code) }

func request(ctx context.Context, conn *nats.Conn, subject string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	m, err := conn.RequestWithContext(ctx, subject, data)
	if err != nil {
		return err
	}
	var answer struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("parse answer: %w", err)
	}
	if answer.Error != nil {
		return answer.Error
	}
	return nil
}
