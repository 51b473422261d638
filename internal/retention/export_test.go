package retention

import "context"

// PruneSome is Prune, killed after so many writes; over says that there are no more.
func (p Pruner) PruneSome(ctx context.Context, plan Plan, writes int) (over bool) {
	effects := p.effects(plan, "me")
	for i, effect := range effects {
		if i == writes {
			return false
		}
		if err := effect(ctx); err != nil {
			panic(err)
		}
	}
	return true
}
