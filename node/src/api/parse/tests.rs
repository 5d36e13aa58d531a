//! What is formatted is parsed back; what does not hold is refused with field, value and expected form.
