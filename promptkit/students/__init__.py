"""Small models that are trained for a task: students, and files of all that predicts."""
