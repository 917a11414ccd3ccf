package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/ordering"
	"lockstep/ordering/jetstream"
)

// Bounds of what counts as room.
const (
	fullShare = 0.9     // of a bound, from which on it is nearly reached
	leastDisk = 1 << 30 // bytes, below which a disk is nearly full
	oldest    = "2.14.4"
	farBehind = 10_000 // entries, from which on a copy of the log is no help soon
	// A follower is heard of with each heartbeat. That a server is away is told for certain only after a minute
	// and more.
	silent     = 10 * time.Second
	silentLong = 10 * time.Minute
)

// Diagnose judges settings. The order of what it finds is that of the areas: stream, copies,
// account, servers.
func Diagnose(s Settings) []jetstream.Finding {
	d := &diagnosis{s: s}
	d.found = jetstream.CheckStream(s.Ref, s.Stream)
	d.stream()
	d.copies()
	d.account()
	d.servers()
	d.placement()
	return d.found
}

type diagnosis struct {
	s     Settings
	found []jetstream.Finding
}

func (d *diagnosis) add(setting, is, want, risk string) {
	d.found = append(d.found, jetstream.Finding{Setting: setting, Is: is, Want: want, Risk: risk})
}

// stream judges what is in the stream.
func (d *diagnosis) stream() {
	if n := d.s.State.NumDeleted; n > 0 {
		d.found = append(d.found, jetstream.Finding{
			Setting: "entries missing between the first and the last", Is: strconv.Itoa(n), Want: "0", Fatal: true,
			Risk: "the leader's files are damaged and it does not know: have another server lead, remove this one's copy, and let it fetch all again",
		})
	}
	if most := d.s.Stream.MaxBytes; most > 0 && float64(d.s.State.Bytes) > fullShare*float64(most) {
		d.add("log", fmt.Sprintf("%d of %d bytes", d.s.State.Bytes, most), "less",
			"a full log refuses inputs until a checkpoint that a majority has stored cuts it")
	}
}

// copies judges whether the servers that keep the log do.
func (d *diagnosis) copies() {
	c := d.s.Cluster
	if c == nil {
		return
	}
	if c.Leader == "" {
		d.add("leader of the log", "none", "one", "no input is ordered until the servers have elected one")
	}
	for _, p := range c.Replicas {
		switch {
		case unheard(p):
			d.add("copy on "+p.Name, "not heard of since a leader was elected", "online",
				"one more fault stops the log; if that server is gone for ever, replace it")
		case p.Offline, p.Active > silent:
			d.add("copy on "+p.Name, fmt.Sprintf("not heard of for %v", p.Active.Round(time.Second)), "online",
				"one more fault stops the log; if that server is gone for ever, replace it")
		case p.Lag > farBehind:
			d.add("copy on "+p.Name, fmt.Sprintf("%d entries behind", p.Lag), "current", "it is of no help until it has caught up")
		}
	}
	if n := len(c.Replicas) + 1; n < d.s.Stream.Replicas {
		d.add("copies", strconv.Itoa(n), strconv.Itoa(d.s.Stream.Replicas), "there are fewer servers than copies: each further loss counts double")
	}
}

// account judges what the account may still use.
func (d *diagnosis) account() {
	a := d.s.Account
	if a.Limits.MaxStreams > 0 && a.Streams >= a.Limits.MaxStreams {
		d.add("account's max streams", fmt.Sprintf("%d of %d in use", a.Streams, a.Limits.MaxStreams), "room for one more",
			"after a break of the log its next epoch cannot be made, and the machine stands still")
	}
	most, used := a.Limits.MaxStore, max(a.Store, a.ReservedStore)
	if most > 0 && float64(used) > fullShare*float64(most) {
		d.add("account's storage", fmt.Sprintf("%d of %d bytes in use or reserved", used, most), "more",
			"logs refuse inputs, or new ones cannot be made")
	}
	if d.s.Stream.MaxBytes > most && most > 0 {
		d.add("account's storage", strconv.FormatInt(most, 10), fmt.Sprintf("at least the log's %d", d.s.Stream.MaxBytes),
			"the log is full before it has reached its own bound")
	}
}

// servers judges each server by itself.
func (d *diagnosis) servers() {
	if len(d.s.Servers) == 0 {
		d.add("servers' settings", "not known", "known",
			"whether acknowledged entries are on disk cannot be said: give a login to the servers' system account")
		return
	}
	versions := make(map[string]bool)
	for _, s := range d.s.Servers {
		versions[s.Version] = true
		d.server(s)
		d.room(s)
	}
	if len(versions) > 1 {
		d.add("versions", strings.Join(slices.Sorted(maps.Keys(versions)), ", "), "one", "servers of different versions are meant for the time of an upgrade alone")
	}
}

func (d *diagnosis) server(s Server) {
	if !s.SyncAlways {
		d.add("sync interval of "+s.Name, s.SyncInterval.String(), "always",
			"what was acknowledged in that time is lost when a majority of servers lose power together; one that loses it alone and comes back "+
				"may give out the same positions a second time, and the servers do not notice")
	}
	if !s.Strict {
		d.add("strict of "+s.Name, "off", "on",
			"whoever may send inputs to one machine can have its server purge the log of every other one: an acknowledgement reads as that request")
	}
	if older(s.Version, oldest) {
		d.add("version of "+s.Name, s.Version, oldest+" or later",
			"a server that was leader may acknowledge for a term that is over, and a restart may drop what was acknowledged: both are mended in later versions")
	}
	if s.MaxPayload > 0 && s.MaxPayload < ordering.MaxEntry+1024 {
		d.add("max payload of "+s.Name, strconv.FormatInt(s.MaxPayload, 10), "1048576", "large inputs are refused by this server")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Offline)) {
		if away := s.Offline[name]; away > silentLong {
			d.add("server "+name, fmt.Sprintf("not seen for %v", away.Round(time.Second)), "running, or removed",
				fmt.Sprintf("it counts as one of %d when they elect: if it is gone for ever, remove it", s.Peers))
		}
	}
}

func (d *diagnosis) room(s Server) {
	if used := max(s.Reserved, s.Used); s.MaxStore > 0 && float64(used) > fullShare*float64(s.MaxStore) {
		d.add("storage of "+s.Name, fmt.Sprintf("%d of %d bytes in use or reserved", used, s.MaxStore), "more",
			"no log can be made or moved there; after a break of the log its next epoch may not be made")
	}
	if s.DiskFree >= 0 && s.DiskFree < leastDisk {
		d.add("disk of "+s.Name, fmt.Sprintf("%d bytes left under %s", s.DiskFree, s.StoreDir), "1 GiB and more",
			"when it is full the server switches JetStream off, for all its logs at once")
	}
	if s.DiskFree >= leastDisk && s.MaxStore > 0 && int64(s.Used)+s.DiskFree < s.MaxStore && int64(s.Reserved) > int64(s.Used)+s.DiskFree {
		d.add("storage of "+s.Name, fmt.Sprintf("%d bytes reserved", s.Reserved), fmt.Sprintf("at most the %d that the disk has", int64(s.Used)+s.DiskFree),
			"the disk is full before the logs are, and then the server switches JetStream off")
	}
}

// placement judges whether one fault can take several copies at once.
func (d *diagnosis) placement() {
	if d.s.Cluster == nil || len(d.s.Servers) == 0 {
		return
	}
	keepers := []string{d.s.Cluster.Leader}
	for _, p := range d.s.Cluster.Replicas {
		keepers = append(keepers, p.Name)
	}
	byHost := make(map[string][]string)
	tagged := true
	for _, s := range d.s.Servers {
		if !slices.Contains(keepers, s.Name) {
			continue
		}
		tagged = tagged && s.UniqueTag != ""
		if h := s.Host; h != "" && h != "0.0.0.0" && h != "::" {
			byHost[h] = append(byHost[h], s.Name)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(byHost)) {
		if names := byHost[host]; len(names) > 1 {
			d.add("copies on "+host, strings.Join(names, ", "), "one", "the loss of that machine, or of its disk, takes them all at once")
		}
	}
	if d.s.Stream.Placement == nil && !tagged && len(d.s.Servers) > d.s.Stream.Replicas {
		d.add("placement", "left to the servers", "a unique tag for each zone, or placement tags",
			"all copies may come to stand in one zone, and be lost with it")
	}
}

// older compares versions like 2.14.4 and 2.15.0-beta.1.
func older(version, than string) bool {
	a, b := numbers(version), numbers(than)
	return slices.CompareFunc(a[:], b[:], cmp.Compare[int]) < 0
}

func numbers(version string) (n [3]int) {
	version, _, _ = strings.Cut(version, "-")
	for i, part := range strings.SplitN(version, ".", 3) {
		n[i], _ = strconv.Atoi(part) // what is no number is old
	}
	return n
}
