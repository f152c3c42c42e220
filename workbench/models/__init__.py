"""Models: training that gives the same bits again, and what is kept of it. PyTorch and MLflow nowhere else."""
