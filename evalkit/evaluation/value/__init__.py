"""Value for money: costs, payments and outcomes of components."""
