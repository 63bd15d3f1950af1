"""Small models that learn a task from the answers of a teacher: students."""
