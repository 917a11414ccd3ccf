package membership

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// When the time is over, the error says what was waited for, why it is not so, and what to do; also if nobody answered.
func TestUnfinished(t *testing.T) {
	for name, c := range map[string]struct {
		look error
		want string
	}{
		"a reason":  {errors.New("it is at seq 3, the others at 9"), "it is at seq 3"},
		"no answer": {context.DeadlineExceeded, "nobody answers"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		err := new(Cluster).poll(ctx, "n4 to catch up", func(context.Context) (bool, error) { return false, c.look })
		cancel()
		for _, want := range []string{"waiting for n4 to catch up", c.want, "ask for it again"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v does not say that the time was over", name, err)
		}
	}
}
