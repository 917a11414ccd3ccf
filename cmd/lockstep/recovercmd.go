package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep/audit"
	"lockstep/client/membership"
	"lockstep/client/nodes"
	"lockstep/client/recovery"
	"lockstep/host/epochs"
	"lockstep/ordering"
)

// recoverTimeout is how long a recovery may take where --timeout does not say: servers elect, and replicas go on.
const recoverTimeout = 3 * time.Minute

// recovering is one run of the command.
type recovering struct {
	*remote
	c       *cobra.Command
	machine ordering.Name
	lost    []string
	from    string
	reason  string
	system  string
	nkey    string // file
	key     ed25519.PrivateKey
	yes     bool
	sure    bool // the operator has given his word
}

func recoverCommand(r *remote) *cobra.Command {
	var v recovering
	c := &cobra.Command{
		Use:   "recover MACHINE",
		Short: "Have a machine go on that cannot by itself, though entries may be lost",
		Long: `For a machine whose majority of voters is gone for ever, or whose replicas were given
different logs of which more than one may have been accepted: its calls get FAIL until
an operator decides. Nodes that come back with their disks are better than any recovery.

Shows what each replica that is left states, chooses the one that is furthest, and says
what is lost, or may be. On your word (the machine's name typed, or --yes) the machine
goes on from that replica in its next epoch, with the voters that answer; --lost names
those that are gone for ever, which are members no more. It is refused where the replicas
go on by themselves. What was decided stays in the machine's state: 'status' tells it.

Servers of nodes that are gone are forgotten too, which needs --system-nkey. A machine that
was deployed with an operator's key needs its signature: --operator-nkey. Do not start
a node again that was lost, unless by 'lockstep join' under a new name.`,
		Example: `  lockstep recover kv                                             # what is there, and what can be done
  lockstep recover kv --lost n2,n3 --system-nkey system.nk        # two of three are gone for ever
  lockstep recover kv --lost n3 --from n2                         # two were given different logs`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			v.remote, v.c, v.machine = r, c, ordering.Name(args[0])
			return v.run()
		},
		ValidArgsFunction: r.completeMachines,
	}
	c.Flags().StringSliceVar(&v.lost, "lost", nil, "nodes of voters that are gone for ever")
	c.Flags().StringVar(&v.from, "from", "", "node whose replica the machine goes on from (default: the one that is furthest)")
	c.Flags().StringVar(&v.reason, "reason", "", "why, for whoever asks later")
	c.Flags().BoolVar(&v.yes, "yes", false, "do it without asking")
	c.Flags().StringVar(&v.nkey, "operator-nkey", "", "file with the seed of the operator's key that the machine was deployed with")
	systemFlag(c, &v.system)
	return c
}

func (v *recovering) run() error {
	if err := v.machine.Validate(); err != nil {
		return usage("%w", err)
	}
	if len(v.reason) > audit.MaxReason {
		return usage("reason has %d bytes, want at most %d", len(v.reason), audit.MaxReason)
	}
	for _, id := range v.lost {
		if id == v.from {
			return usage("%s cannot be gone and be the one to go on from", id)
		}
	}
	v.sure = v.yes
	ctx, cancel := v.patience()
	defer func() { cancel() }()
	conn, err := v.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	system, err := v.systemConn(v.system)
	if err != nil {
		return err
	}
	if system != nil {
		defer system.Close()
	}
	cluster := &recovery.Cluster{Machine: v.machine, Conn: conn}
	servers := &membership.Cluster{Machine: v.machine, Conn: conn, System: system, Embedded: true, OnStep: v.step}
	survey, err := v.survey(ctx, cluster, servers)
	if err != nil {
		return err
	}
	plan, err := survey.Plan(audit.ReplicaID(v.from), replicaIDs(v.lost))
	if showErr := v.showSurvey(survey, plan, err); showErr != nil || err != nil {
		return errors.Join(hint(err), showErr)
	}
	if v.key, err = signer(v.machine, survey.Members.Operator, v.nkey); err != nil {
		return err
	}
	if err := v.confirm(); err != nil {
		return err
	}
	cancel()
	ctx, cancel = v.patience() // nobody is hurried who reads first
	if err := v.forget(ctx, survey, servers); err != nil {
		return err
	}
	done, err := v.order(ctx, cluster)
	if err != nil {
		return hint(err)
	}
	return v.showDone(done)
}

func (v *recovering) patience() (context.Context, context.CancelFunc) {
	d := recoverTimeout
	if v.c.Flags().Changed("timeout") {
		d = v.timeout
	}
	return context.WithTimeout(v.c.Context(), d)
}

func (v *recovering) step(text string) { _, _ = fmt.Fprintln(v.c.ErrOrStderr(), text) } // for whoever watches

// survey asks the nodes. Where none answers, as after a start without a majority of the servers, the servers are
// made to elect first: a node says nothing before.
func (v *recovering) survey(ctx context.Context, cluster *recovery.Cluster, servers *membership.Cluster) (*recovery.Survey, error) {
	s, err := cluster.Survey(ctx)
	if err == nil && len(s.Replicas) == 0 {
		all, err := nodes.List(ctx, cluster.Conn, v.machine)
		if err != nil {
			return nil, err
		}
		return nil, unhosted(v.machine, all)
	}
	if !errors.Is(err, nodes.ErrNone) {
		return s, err
	}
	if servers.System == nil || len(v.lost) == 0 {
		return nil, fmt.Errorf("%w; a node that was started without a majority of the servers answers once those that are gone are forgotten: give --lost and --system-nkey", err)
	}
	running, err := servers.Servers(ctx)
	if err != nil {
		return nil, err
	}
	v.step(fmt.Sprintf("servers %v run, and no node answers: they wait for a majority. To ask any further, servers %v are forgotten for ever", running, v.lost))
	if err := v.confirm(); err != nil {
		return nil, err
	}
	if err := servers.Rescue(ctx, v.lost); err != nil {
		return nil, err
	}
	v.step("waiting for the nodes")
	for ctx.Err() == nil {
		if s, err = cluster.Survey(ctx); err == nil && len(s.Replicas) > 0 {
			return s, nil
		}
	}
	return nil, errors.Join(ctx.Err(), err)
}

// forget removes the servers of nodes that are gone from those that elect, where nodes have their own.
func (v *recovering) forget(ctx context.Context, s *recovery.Survey, servers *membership.Cluster) error {
	own := false
	for i := range s.Replicas {
		own = own || s.Replicas[i].Server
	}
	if !own || len(v.lost) == 0 {
		return nil
	}
	running, err := servers.Servers(ctx)
	if errors.Is(err, membership.ErrNoSystem) {
		return usage("nodes have servers of their own, and those of %v have to be forgotten: give --system-nkey", v.lost)
	}
	if err != nil {
		return err
	}
	var gone []string
	for _, name := range v.lost {
		if !contains(running, name) {
			gone = append(gone, name)
		}
	}
	return servers.Rescue(ctx, gone)
}

// orders bounds how often an order is given again, since the replicas have moved on.
const orders = 5

// order surveys again, since the log may have brought more once its servers elected, and has the replica go ahead.
func (v *recovering) order(ctx context.Context, cluster *recovery.Cluster) (done epochs.Recovery, err error) {
	for range orders {
		var s *recovery.Survey
		var p recovery.Plan
		if s, err = cluster.Survey(ctx); err != nil {
			return done, err
		}
		if p, err = s.Plan(audit.ReplicaID(v.from), replicaIDs(v.lost)); err != nil {
			return done, err
		}
		v.step(fmt.Sprintf("having %s go ahead after seq %d", p.From, p.Base.Seq))
		if done, err = cluster.Order(ctx, p, v.reason, v.key); err == nil {
			return done, cluster.Await(ctx, done)
		}
		if !errors.Is(err, recovery.ErrMoved) {
			return done, err
		}
	}
	return done, err
}

// hint adds which flag is meant.
func hint(err error) error {
	switch {
	case errors.Is(err, recovery.ErrSilent):
		return fmt.Errorf("%w (--lost)", err)
	case errors.Is(err, recovery.ErrChoose):
		return fmt.Errorf("%w (--from); what only the others have is lost then", err)
	}
	return err
}

// confirm wants the operator's word, once.
func (v *recovering) confirm() error {
	if v.sure {
		return nil
	}
	in, terminal := v.c.InOrStdin().(*os.File)
	if !terminal || !isTerminal(in) || v.asJSON {
		return errors.New("nothing was done: say --yes to go on")
	}
	_, _ = fmt.Fprintf(v.c.ErrOrStderr(), "This cannot be undone. Type the machine's name to go on: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("nothing was done: %w", err)
	}
	if strings.TrimSpace(line) != string(v.machine) {
		return errors.New("nothing was done: that is not its name")
	}
	v.sure = true
	return nil
}

func replicaIDs(names []string) (ids []audit.ReplicaID) {
	for _, n := range names {
		ids = append(ids, audit.ReplicaID(n))
	}
	return ids
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// recoverySurvey is what is there, as JSON has it.
type recoverySurvey struct {
	Machine  string            `json:"machine"`
	Replicas []recoveryReplica `json:"replicas"`
	Ways     []recoveryWay     `json:"ways"`
	Plan     *recoveryPlan     `json:"plan,omitempty"`
	Why      string            `json:"why_not,omitempty"`
	Operator string            `json:"operator,omitempty"` // public key that a recovery is to be signed with
}

type recoveryReplica struct {
	Node    string  `json:"node"`
	Voter   bool    `json:"voter"`
	Answers bool    `json:"answers"`
	Phase   string  `json:"phase,omitempty"`
	Epoch   uint64  `json:"epoch"`
	Seq     uint64  `json:"seq"` // durable
	Chain   string  `json:"chain,omitempty"`
	Stored  uint64  `json:"checkpoint_seq,omitempty"`
	Root    string  `json:"checkpoint_root,omitempty"`
	Ago     float64 `json:"seconds_ago,omitempty"` // of one that does not answer, when others last heard of it
	Why     string  `json:"why,omitempty"`
}

type recoveryWay struct {
	Seq   uint64   `json:"seq"`
	Nodes []string `json:"nodes"`
}

type recoveryPlan struct {
	From   string   `json:"from"`
	Seq    uint64   `json:"seq"`
	Voters []string `json:"voters"`
	Lost   []string `json:"lost"`
	Losses []string `json:"losses"`
}

// showSurvey says what is there and what can be done. In JSON, what was asked for and can be done is told at its end.
func (v *recovering) showSurvey(s *recovery.Survey, p recovery.Plan, why error) error {
	out := surveyOf(s)
	if why != nil {
		out.Why = hint(why).Error()
	} else {
		out.Plan = &recoveryPlan{string(p.From), uint64(p.Base.Seq), texts(p.Voters), append([]string{}, v.lost...), p.Losses}
	}
	if v.asJSON {
		if why != nil || v.sure {
			return nil // the error, or what was done, is the answer
		}
		return printJSON(v.c.OutOrStdout(), out)
	}
	return writeSurvey(v.c.OutOrStdout(), out)
}

func (v *recovering) showDone(done epochs.Recovery) error {
	row := recoveryOf(&done)
	return v.show(v.c, row, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s goes on in epoch %d after seq %d, from %s, with %s\n", v.machine, row.Epoch, row.Seq, row.From, strings.Join(row.Voters, ", "))
		for _, loss := range row.Losses {
			_, _ = fmt.Fprintln(w, "-", loss)
		}
		return err
	})
}
