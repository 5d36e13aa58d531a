//! What the platform charges its developers: the network's price of a bumped single payment, less the discount of the
//! batch's size, and never below what the network took, unless the policy allows it.

use crate::command::Policy;
use crate::units::Stroops;

/// Steps of a discount at most.
pub const TIERS_MAX: usize = 8;

/// A discount from a batch size up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiscountTier {
    /// Payments of a batch from which it holds.
    pub from_payments: u16,
    /// The discount, in thousandths.
    pub discount_permille: u16,
}

/// What happens to a charge that is below the network's cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BelowCost {
    /// It is raised to the cost.
    #[default]
    Raised,
    /// It stands: the platform pays the rest.
    Allowed,
}

/// What a batch cost and what is charged for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// What the fee account paid.
    pub cost: Stroops,
    /// What each payment alone in a fee bump would have paid at the same price, together.
    pub list: Stroops,
    /// The discount that the batch's size earned, in thousandths.
    pub discount_permille: u16,
    /// What the developers pay, together.
    pub charged: Stroops,
}

impl Charge {
    /// What the platform keeps; negative when it pays.
    #[must_use]
    pub const fn margin(&self) -> Stroops {
        Stroops(self.charged.0.saturating_sub(self.cost.0))
    }
}

/// The discount that a batch of so many payments earns, in thousandths.
#[must_use]
pub fn discount_permille(policy: &Policy, payments: usize) -> u16 {
    let earned = policy
        .discounts
        .iter()
        .filter(|tier| usize::from(tier.from_payments) <= payments);
    earned.map(|tier| tier.discount_permille).max().unwrap_or(0)
}

/// What to charge for a batch of which the network took `cost`.
#[must_use]
pub fn charge(policy: &Policy, payments: usize, cost: Stroops) -> Charge {
    let count = i64::try_from(payments).unwrap_or(i64::MAX).max(1);
    let operations = count.saturating_add(1);
    let singles = count.saturating_mul(2);
    // The price of an operation times two for each payment; multiplied first, so that nothing is lost.
    let list = i128::from(cost.0)
        .saturating_mul(i128::from(singles))
        .checked_div(i128::from(operations))
        .unwrap_or(0);
    let discount_permille = discount_permille(policy, payments);
    let kept = 1_000_i128.saturating_sub(i128::from(discount_permille));
    let discounted = list.saturating_mul(kept).checked_div(1_000).unwrap_or(0);
    let discounted = Stroops(i64::try_from(discounted).unwrap_or(i64::MAX));
    Charge {
        cost,
        list: Stroops(i64::try_from(list).unwrap_or(i64::MAX)),
        discount_permille,
        charged: match policy.below_cost {
            BelowCost::Raised => discounted.max(cost),
            BelowCost::Allowed => discounted,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payments: usize, cost: i64, discount_permille: u16, charged: i64, margin: i64) {
        let found = charge(&Policy::default(), payments, Stroops(cost));
        assert_eq!(found.discount_permille, discount_permille);
        assert_eq!((found.charged.0, found.margin().0), (charged, margin));
    }

    #[test]
    fn the_tiers_of_the_default_policy() {
        check(1, 200, 0, 200, 0);
        check(9, 1_000, 0, 1_800, 800);
        check(10, 1_100, 100, 1_800, 700);
        check(20, 2_100, 200, 3_200, 1_100);
        check(50, 5_100, 300, 7_000, 1_900);
        // Half of the list price would be 10,000: below what the network took.
        check(100, 10_100, 500, 10_100, 0);
    }

    #[test]
    fn below_cost_only_where_the_policy_allows_it() {
        let policy = Policy {
            below_cost: BelowCost::Allowed,
            ..Policy::default()
        };
        let found = charge(&policy, 100, Stroops(10_100));
        assert_eq!(found.charged, Stroops(10_000));
        assert_eq!(found.margin(), Stroops(-100));
    }
}
