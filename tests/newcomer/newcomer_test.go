package newcomer

import "testing"

func TestQuickstart(t *testing.T) { follow(t, "docs/quickstart.md") }

func TestRunningNodes(t *testing.T) { follow(t, "docs/running.md") }

func TestTutorialGo(t *testing.T) { follow(t, "docs/tutorials/go.md") }
